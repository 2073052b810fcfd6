-- wrk: sends a POST with a body of as many bytes as the first argument says.
init = function(args)
  wrk.method = "POST"
  wrk.body = string.rep("x", tonumber(args[1]))
  posted = wrk.format()
end

request = function()
  return posted
end
