-- wrk: asks for one answer on each connection. The argument is the version of HTTP.
init = function(args)
  local fields = "Host: localhost\r\nConnection: close\r\n\r\n"
  asked = "GET / HTTP/" .. args[1] .. "\r\n" .. fields
end

request = function()
  return asked
end
