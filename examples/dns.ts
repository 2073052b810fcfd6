/**
 * A small UDP server that answers every DNS question for an IPv4 address with 127.0.0.1 (RFC 1035
 * section 4).
 *
 *   bun examples/dns.ts --port 5300     then: dig @127.0.0.1 -p 5300 anything.example
 */
import { udpSocket } from "../src/index.ts";
import { options } from "./options.ts";

const { port, mode } = options({ port: 5300 });
const server = await udpSocket({
  hostname: "127.0.0.1",
  port,
  mode,
  socket: {
    data(socket, query, senderPort, sender) {
      if (query.length < 17) return;
      // The question ends after its name (labels up to an empty one), type and class.
      let end = 12;
      while (end < query.length && query[end] !== 0) end += query[end]! + 1;
      end += 5;
      if (end > query.length) return;
      const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
      const reply = Buffer.concat([query.subarray(0, end), answer]);
      reply.writeUInt16BE(0x8400, 2); // A response, with the flag "authoritative".
      reply.writeUInt16BE(1, 4);
      reply.writeUInt16BE(1, 6);
      reply.writeUInt32BE(0, 8);
      socket.send(reply, senderPort, sender);
    },
  },
});
console.log(JSON.stringify({ port: server.port }));
