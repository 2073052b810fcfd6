/**
 * What the behaviour tests run against, chosen by RINGLOOP_TEST_SUBJECT: `bun` is Bun.serve and Bun.listen themselves, `defer` and
 * `sqpoll` are ringloop in that mode. Default: defer.
 *
 * Guarantees: a ring subject is that ring. Another mode than the asked one, or a quiet retreat to Bun's own functions, is an error.
 */
import type {
  connect as ringConnect,
  listen as ringListen,
  Reactor,
  ReactorOptions,
  ReactorStats,
  RingServeOptions,
  Server as RingServer,
  Socket,
  SocketListener,
  udpSocket as ringUdpSocket,
  UdpOptions,
  UdpSocket,
} from "../../src/index.ts";

type ListenOptions<Data> = Parameters<typeof ringListen<Data>>[0];
type ConnectOptions<Data> = Parameters<typeof ringConnect<Data>>[0];

/** What the tests pass to `serve`: Bun's options and ringloop's, without what excludes what. */
export interface ServeOptions extends RingServeOptions, Omit<Bun.Serve.HostnamePortServeOptions<undefined>, "error"> {
  fetch?: (this: Server, request: Request, server: Server) => Response | Promise<Response>;
  error?: (this: Server, error: Error) => Response | Promise<Response> | void | Promise<void>;
  routes?: Bun.Serve.Routes<undefined, string>;
  unix?: string;
  websocket?: Bun.WebSocketHandler<any>;
}

/** A server on a port, unless a test says otherwise. */
export interface Server extends RingServer {
  readonly port: number;
  readonly hostname: string;
}

const subjects = ["bun", "defer", "sqpoll"] as const;
export type Subject = (typeof subjects)[number];

function chosenSubject(): Subject {
  const name = process.env.RINGLOOP_TEST_SUBJECT || "defer";
  const found = subjects.find((each) => each === name);
  if (!found)
    throw new TypeError(`RINGLOOP_TEST_SUBJECT must be one of ${subjects.join(", ")}, not ${JSON.stringify(name)}`);
  return found;
}

export const subject: Subject = chosenSubject();
export const isBun = subject === "bun";

// Before the import, and for the child processes that tests start.
if (subject !== "bun") process.env.RINGLOOP_MODE = subject;
const ring = subject === "bun" ? undefined : await import("../../src/index.ts");

if (ring) {
  // RINGLOOP_TEST_RING: options of the reactor, as JSON.
  const { mode } = ring.useReactor(JSON.parse(process.env.RINGLOOP_TEST_RING ?? "{}") as ReactorOptions).info;
  if (mode !== subject) throw new Error(`the reactor runs in mode ${mode}, and these tests are for ${subject}`);
}

/** Options that are none are passed as they are. */
function withoutFallback<T>(options: T): T {
  return typeof options === "object" && options !== null ? { fallback: false, ...options } : options;
}

/** The subject's `serve`, without a way back to Bun's. */
export function serve(options: ServeOptions): Server {
  const start = (ring ? ring.serve : Bun.serve) as unknown as (options: ServeOptions) => Server;
  return start(ring ? withoutFallback(options) : options);
}

/** The subject's `listen`, without a way back to Bun's. */
export function listen<Data = undefined>(options: ListenOptions<Data>): SocketListener<Data> {
  if (ring) return ring.listen(withoutFallback(options));
  return Bun.listen(options as never) as unknown as SocketListener<Data>;
}

/** The subject's `connect`, without a way back to Bun's. */
export function connect<Data = undefined>(options: ConnectOptions<Data>): Promise<Socket<Data>> {
  if (ring) return ring.connect(withoutFallback(options));
  return Bun.connect(options as never) as unknown as Promise<Socket<Data>>;
}

/** The subject's `udpSocket`, without a way back to Bun's. */
export function udpSocket(options: UdpOptions): ReturnType<typeof ringUdpSocket> {
  if (ring) return ring.udpSocket(withoutFallback(options));
  return Bun.udpSocket(options as never) as unknown as Promise<UdpSocket>;
}

/** The thread's reactor; undefined for Bun. Only for tests that are about it. */
export function reactor(): Reactor | undefined {
  return ring?.useReactor();
}

/** The subject's functions on files: ringloop/fs, or node:fs/promises as far as the two have the same. */
export const files = (ring
  ? await import("../../src/fs/index.ts")
  : await import("node:fs/promises")) as unknown as typeof import("../../src/fs/index.ts");

/** What the ring has open and has done. Only for tests that are about it. */
export function reactorStats(): ReactorStats {
  const used = reactor();
  if (!used) throw new Error("Bun has no reactor of ringloop's: skip this test for it");
  return used.stats();
}

/** Resolves when the ring has no more slots in use than that: closing takes a turn or two. The test's time limit ends it otherwise. */
export async function settled(slots: number): Promise<void> {
  while (reactorStats().slotsInUse > slots) await new Promise((resolve) => setImmediate(resolve));
}
