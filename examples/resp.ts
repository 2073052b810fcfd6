/**
 * A small server like Redis, over `listen`: PING, ECHO, SET, GET, DEL and INCR, in RESP, the
 * protocol of Redis (redis.io/docs/reference/protocol-spec).
 *
 *   bun examples/resp.ts --port 6380     then: redis-cli -p 6380 set name ring
 */
import { listen } from "../src/index.ts";
import { options } from "./options.ts";

const store = new Map<string, string>();

/**
 * Parses one whole command at the start of `text`, which has one character for each byte. Returns
 * the command and the position of its end, or undefined if a part is missing.
 */
function parse(text: string): { words: string[]; end: number } | undefined {
  const line = (from: number): [string, number] | undefined => {
    const end = text.indexOf("\r\n", from);
    return end < 0 ? undefined : [text.slice(from, end), end + 2];
  };
  const first = line(0);
  if (!first) return undefined;
  let [header, at] = first;
  if (header[0] !== "*") return { words: header.split(" ").filter(Boolean), end: at }; // An inline command.
  const words: string[] = [];
  for (let i = 0; i < Number(header.slice(1)); i++) {
    const size = line(at);
    if (!size) return undefined;
    const length = Number(size[0].slice(1));
    at = size[1];
    if (text.length < at + length + 2) return undefined;
    words.push(text.slice(at, at + length));
    at += length + 2;
  }
  return { words, end: at };
}

const bulk = (value: string | undefined): string =>
  value === undefined ? "$-1\r\n" : `$${value.length}\r\n${value}\r\n`;

function answer([name = "", key = "", value = ""]: string[]): string {
  switch (name.toUpperCase()) {
    case "PING":
      return key ? bulk(key) : "+PONG\r\n";
    case "ECHO":
      return bulk(key);
    case "SET":
      store.set(key, value);
      return "+OK\r\n";
    case "GET":
      return bulk(store.get(key));
    case "DEL":
      return `:${store.delete(key) ? 1 : 0}\r\n`;
    case "INCR": {
      const next = Number(store.get(key) ?? 0) + 1;
      if (!Number.isSafeInteger(next)) return "-ERR value is not an integer or out of range\r\n";
      store.set(key, String(next));
      return `:${next}\r\n`;
    }
    case "COMMAND":
    case "CONFIG":
      return "*0\r\n";
    default:
      return `-ERR unknown command '${name}'\r\n`;
  }
}

const { port, mode } = options({ port: 6380 });
const server = listen<{ pending: string }>({
  port,
  mode,
  hostname: "127.0.0.1",
  socket: {
    open(socket) {
      socket.data = { pending: "" };
    },
    data(socket, bytes) {
      let text = socket.data.pending + bytes.toString("latin1");
      for (let command = parse(text); command; command = parse(text)) {
        socket.write(Buffer.from(answer(command.words), "latin1"));
        text = text.slice(command.end);
      }
      socket.data.pending = text;
    },
  },
});
console.log(JSON.stringify({ port: server.port }));
