/**
 * A chat with rooms: start `bun examples/chat.ts`, then open http://localhost:3000/?room=tea in
 * several windows. A client that opens a room subscribes to the topic with the name of the room. A
 * client that writes a line publishes it to this topic.
 */
import { serve, useReactor } from "../src/index.ts";
import { options } from "./options.ts";

export interface Member {
  name: string;
  room: string;
}

export interface Line {
  name: string;
  text: string;
}

/** Sends a line to all members of a room. */
export type Publish = (room: string, line: Line) => void;

const page = `<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Chat</title>
<link rel="icon" href="data:,">
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem }
  ol { list-style: none; padding: 0; min-height: 50vh }
  b { margin-right: .5rem }
  form { display: flex; gap: .5rem }
  input { flex: 1; font: inherit; padding: .3rem .5rem }
</style>
<ol></ol>
<form><input autocomplete="off" autofocus placeholder="Say something"><button>Send</button></form>
<script type="module">
  const list = document.querySelector("ol");
  const input = document.querySelector("input");
  let socket;
  const connect = () => {
    socket = new WebSocket(location.href.replace(/^http/, "ws").replace(/\\/(?=\\?|$)/, "/chat"));
    socket.onopen = () => (document.title = "Chat: open");
    socket.onclose = () => {
      document.title = "Chat: closed";
      setTimeout(connect, 500);
    };
    socket.onmessage = ({ data }) => {
      const { name, text } = JSON.parse(data);
      const line = list.appendChild(document.createElement("li"));
      line.appendChild(document.createElement("b")).textContent = name;
      line.append(text);
    };
  };
  connect();
  document.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    if (socket.readyState !== WebSocket.OPEN) return;
    socket.send(input.value);
    input.value = "";
  };
</script>`;

/** Returns the options of `serve` for a chat. */
export function chat(publish: Publish) {
  let guests = 0;
  const say = ({ data: { name, room } }: Bun.ServerWebSocket<Member>, text: string): void =>
    publish(room, { name, text });
  return {
    routes: {
      "/": new Response(page, { headers: { "Content-Type": "text/html" } }),
      "/chat": (request: Request, server: Bun.Server<Member>) => {
        const query = new URL(request.url).searchParams;
        const data = { name: query.get("name") ?? `guest ${++guests}`, room: query.get("room") ?? "lobby" };
        return server.upgrade(request, { data }) ? undefined : new Response("for WebSocket", { status: 426 });
      },
    },
    websocket: {
      data: {} as Member,
      // A line of a chat is short. A client that does not read for a long time is disconnected.
      maxPayloadLength: 4096,
      backpressureLimit: 1048576,
      closeOnBackpressureLimit: true,
      perMessageDeflate: true,
      open(socket: Bun.ServerWebSocket<Member>) {
        socket.subscribe(socket.data.room);
        say(socket, "is here");
      },
      message(socket: Bun.ServerWebSocket<Member>, text: string | Buffer) {
        say(socket, String(text));
      },
      close(socket: Bun.ServerWebSocket<Member>) {
        say(socket, "has left");
      },
    },
  };
}

if (import.meta.main) {
  const { port, mode } = options({ port: 3000 });
  const server = serve<Member>({
    port,
    mode,
    ...chat((room, line) => void server.publish(room, JSON.stringify(line))),
  } as never);
  console.log(`${server.url}, ${useReactor().info.mode}`);
}
