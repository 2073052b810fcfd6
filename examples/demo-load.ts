/**
 * The load of the demo: keep-alive HTTP requests and echoes over Bun's client sockets. It checks
 * each answer, and exits with 1 if one is wrong.
 */
export {}; // Makes this file a module, for the await at its end.

const httpPort = Number(process.env.HTTP_PORT);
const echoPort = Number(process.env.ECHO_PORT);
const endMs = performance.now() + Number(process.env.SECONDS) * 1000;
const CONNECTIONS = 25;
const REQUEST = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(16);
const MESSAGE = "0123456789abcdef".repeat(4);
let failures = 0;

async function connect(
  port: number,
  message: string,
  complete: (received: string) => boolean | undefined,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let received = "";
  await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open(socket) {
        socket.write(message);
      },
      data(socket, data) {
        received += data.latin1Slice();
        const answer = complete(received);
        if (answer === undefined) return;
        if (!answer) failures++;
        received = "";
        if (performance.now() < endMs) socket.write(message);
        else socket.end();
      },
      close() {
        if (performance.now() < endMs) failures++;
        resolve();
      },
      error() {
        failures++;
      },
    },
  });
  return promise;
}

/** Checks sixteen answers and their bodies. Returns undefined while some are missing. */
function httpAnswer(received: string): boolean | undefined {
  const answers = received.split("Hello from the ring\n").length - 1;
  if (answers < 16) return undefined;
  return answers === 16 && received.split("HTTP/1.1 200 OK").length === 17;
}

function echoAnswer(received: string): boolean | undefined {
  return received.length < MESSAGE.length ? undefined : received === MESSAGE;
}

const clients = Array.from({ length: CONNECTIONS }, () => [
  connect(httpPort, REQUEST, httpAnswer),
  connect(echoPort, MESSAGE, echoAnswer),
]).flat();
await Promise.all(clients);
if (failures > 0) console.error(`demo: ${failures} wrong or lost answers`);
process.exit(failures > 0 ? 1 : 0);
