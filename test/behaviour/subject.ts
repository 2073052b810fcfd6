/**
 * The subject of the behaviour tests, chosen by RINGLOOP_TEST_SUBJECT. `bun` stands for Bun's own
 * functions, `defer` and `sqpoll` for ringloop in that mode. Default: defer.
 *
 * Guarantees: the subjects `defer` and `sqpoll` run on a ring in that mode. Another mode, or a
 * fallback to Bun's own functions, is an error.
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

/**
 * The options of `serve` in tests: Bun's and ringloop's, without the types that exclude options.
 */
export interface ServeOptions extends RingServeOptions, Omit<Bun.Serve.HostnamePortServeOptions<undefined>, "error"> {
  fetch?: (this: Server, request: Request, server: Server) => Response | Promise<Response>;
  error?: (this: Server, error: Error) => Response | Promise<Response> | void | Promise<void>;
  routes?: Bun.Serve.Routes<undefined, string>;
  unix?: string;
  websocket?: Bun.WebSocketHandler<any>;
}

/** A server on a port, as in most tests. */
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

// Set before the import. Child processes of the tests get it too.
if (subject !== "bun") process.env.RINGLOOP_MODE = subject;
const ring = subject === "bun" ? undefined : await import("../../src/index.ts");

if (ring) {
  // RINGLOOP_TEST_RING: options of the reactor, as JSON.
  const { mode } = ring.useReactor(JSON.parse(process.env.RINGLOOP_TEST_RING ?? "{}") as ReactorOptions).info;
  if (mode !== subject) throw new Error(`the reactor runs in mode ${mode}, and these tests are for ${subject}`);
}

/** Adds `fallback: false`. Returns a value that is not an object as it is. */
function withoutFallback<T>(options: T): T {
  return typeof options === "object" && options !== null ? { fallback: false, ...options } : options;
}

/** The subject's `serve`, without a fallback to Bun's. */
export function serve(options: ServeOptions): Server {
  const start = (ring ? ring.serve : Bun.serve) as unknown as (options: ServeOptions) => Server;
  return start(ring ? withoutFallback(patient(options)) : patient(options));
}

/**
 * Adds time limits that no client of a test reaches, not even on a very busy machine. A test of the
 * limits sets its own.
 */
function patient(options: ServeOptions): ServeOptions {
  return typeof options === "object" && options !== null
    ? { idleTimeout: 240, ...(ring && { headerTimeout: 240 }), ...options }
    : options;
}

/** The subject's `listen`, without a fallback to Bun's. */
export function listen<Data = undefined>(options: ListenOptions<Data>): SocketListener<Data> {
  if (ring) return ring.listen(withoutFallback(options));
  return Bun.listen(options as never) as unknown as SocketListener<Data>;
}

/** The subject's `connect`, without a fallback to Bun's. */
export function connect<Data = undefined>(options: ConnectOptions<Data>): Promise<Socket<Data>> {
  if (ring) return ring.connect(withoutFallback(options));
  return Bun.connect(options as never) as unknown as Promise<Socket<Data>>;
}

/** The subject's `udpSocket`, without a fallback to Bun's. */
export function udpSocket(options: UdpOptions): ReturnType<typeof ringUdpSocket> {
  if (ring) return ring.udpSocket(withoutFallback(options));
  return Bun.udpSocket(options as never) as unknown as Promise<UdpSocket>;
}

/**
 * Returns the reactor of the thread, or undefined for Bun. Only for tests of the reactor itself.
 */
export function reactor(): Reactor | undefined {
  return ring?.useReactor();
}

/** The file functions of the subject: ringloop/fs, or those that node:fs/promises also has. */
export const files = (ring
  ? await import("../../src/fs/index.ts")
  : await import("node:fs/promises")) as unknown as typeof import("../../src/fs/index.ts");

/** Returns the counters of the ring. Only for tests of the ring itself. */
export function reactorStats(): ReactorStats {
  const used = reactor();
  if (!used) throw new Error("Bun has no reactor of ringloop's: skip this test for it");
  return used.stats();
}

/**
 * Resolves when the ring has at most `slots` slots in use, because closing takes a turn or two. If
 * that never happens, the time limit of the test ends it.
 */
export async function settled(slots: number): Promise<void> {
  while (reactorStats().slotsInUse > slots) await new Promise((resolve) => setImmediate(resolve));
}
