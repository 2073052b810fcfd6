-- wrk: sends as many requests in one write as the first argument says.
init = function(args)
  local requests = {}
  for i = 1, tonumber(args[1]) do
    requests[i] = wrk.format()
  end
  pipelined = table.concat(requests)
end

request = function()
  return pipelined
end
