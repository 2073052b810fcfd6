-- For wrk. Sends POST requests. The first argument is the length of the body in bytes.
init = function(args)
  wrk.method = "POST"
  wrk.body = string.rep("x", tonumber(args[1]))
  posted = wrk.format()
end

request = function()
  return posted
end
