/**
 * The same services with Node's own functions: `node node.cjs http-hello|echo|udp`. Prints its
 * port.
 */
const service = process.argv[2];
const started = (server) => () => console.log(server.address().port);

if (service === "http-hello") {
  const server = require("node:http").createServer((request, response) => {
    response.setHeader("Content-Type", "text/plain;charset=utf-8");
    response.setHeader("Content-Length", 13);
    response.end("Hello, World!");
  });
  server.listen(0, "127.0.0.1", started(server));
} else if (service === "echo") {
  const server = require("node:net").createServer({ noDelay: true }, (socket) => {
    socket.on("data", (data) => socket.write(data));
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1", 4096, started(server));
} else if (service === "udp") {
  const socket = require("node:dgram").createSocket("udp4");
  socket.on("message", (data, { port, address }) => socket.send(data, port, address));
  socket.bind(0, "127.0.0.1", started(socket));
} else throw new TypeError(`the service must be http-hello, echo or udp, not ${service}`);
