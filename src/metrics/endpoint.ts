/**
 * Shows the metrics of a thread on a Unix socket: to `ringloop top`, and to every HTTP client of the
 * same user.
 *
 * Guarantees: only the owner of the process (and root) can connect, from the first moment on. The
 * socket of a running process is not taken away. A file that is no socket stays. The endpoint does
 * not keep the process alive. Bun's own server answers, so the numbers do not count the looks at
 * them.
 */
import { chmodSync, linkSync, lstatSync, mkdtempSync, rmSync, unlinkSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { originals } from "../sys/bun-originals.ts";
import { invalidType, outOfRange, requireObject, withCode } from "../sys/check.ts";
import { metrics, metricsContentType, metricsText } from "./read.ts";

/** Options of `exposeMetrics`. */
export interface ExposeOptions {
  /**
   * Path of the Unix socket to make. Its directory must exist, and its user must be able to write
   * there. At most 96 bytes.
   */
  unix: string;
}

/** The socket that `exposeMetrics` has made. */
export interface MetricsEndpoint extends Disposable {
  /** Path of the socket. */
  readonly unix: string;
  /** Closes the socket, and removes its file. */
  stop(): void;
}

/** What `ringloop top` reads from the path /json. */
export interface Report {
  pid: number;
  /** Time at which the thread started, in milliseconds since 1970. It tells two processes apart. */
  startedMs: number;
  isMainThread: boolean;
  /** The program's file. */
  program: string;
  metrics: Record<string, number>;
}

/** sun_path has 108 bytes (unix(7)). Some are for the name under which the socket is made. */
const PATH_BYTES_MAX = 96;

/**
 * Makes a Unix socket with mode 0600 that shows the metrics of the calling thread over HTTP:
 * `/metrics` as Prometheus' text, `/json` for `ringloop top`. The file is removed by `stop()` and at
 * the exit of the process. A process that a signal ends leaves it behind, and the next one replaces
 * it.
 *
 * Throws a TypeError or RangeError for a wrong path. The promise rejects with an error of the
 * system, such as ENOENT or EACCES; with EADDRINUSE if a running process has the socket; and with
 * EEXIST if the file is not a socket.
 */
export function exposeMetrics(options: ExposeOptions): Promise<MetricsEndpoint> {
  requireObject("options", options);
  const { unix } = options;
  if (typeof unix !== "string" || unix === "" || unix.includes("\0"))
    throw invalidType("unix", "a path of at least one character, without NUL", unix);
  const path = resolve(unix); // The program may change its directory before the end.
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) throw outOfRange("unix", `at most ${PATH_BYTES_MAX} bytes long`, path);
  return expose(path);
}

async function expose(unix: string): Promise<MetricsEndpoint> {
  // Nobody else can enter this directory, so nobody connects before the mode is set.
  const directory = mkdtempSync(join(dirname(unix), ".rl"));
  let server: Bun.Server<undefined> | undefined;
  try {
    const made = join(directory, "s");
    server = originals.serve({ unix: made, development: false, fetch: answer });
    server.unref();
    chmodSync(made, 0o600);
    await place(made, unix);
  } catch (error) {
    void server?.stop(true);
    throw error;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  return endpointOf(server, unix);
}

/** Links the socket to its path. Replaces a socket that nobody listens at. */
async function place(made: string, unix: string): Promise<void> {
  try {
    return linkSync(made, unix);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  if (!lstatSync(unix).isSocket())
    throw withCode("EEXIST", new Error(`EEXIST: ${unix} exists, and is not a socket, so it is not replaced`));
  if (await isListening(unix))
    throw withCode("EADDRINUSE", new Error(`EADDRINUSE: another process shows its metrics at ${unix}`));
  unlinkSync(unix);
  linkSync(made, unix);
}

async function isListening(unix: string): Promise<boolean> {
  try {
    const socket = await originals.connect({ unix, socket: { data() {} } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}

function endpointOf(server: Bun.Server<undefined>, unix: string): MetricsEndpoint {
  const { ino } = lstatSync(unix);
  let isOpen = true;
  const stop = (): void => {
    if (!isOpen) return;
    isOpen = false;
    process.off("exit", stop);
    void server.stop(true);
    try {
      if (lstatSync(unix).ino === ino) unlinkSync(unix);
    } catch {
      // The file was removed elsewhere.
    }
  };
  process.on("exit", stop);
  return { unix, stop, [Symbol.dispose]: stop };
}

function answer(request: Request): Response {
  const { pathname } = new URL(request.url);
  if (pathname === "/metrics") return new Response(metricsText(), { headers: { "Content-Type": metricsContentType } });
  if (pathname === "/json") return Response.json(report());
  return new Response("the paths are /metrics and /json\n", { status: 404 });
}

function report(): Report {
  const startedMs = performance.timeOrigin;
  return { pid: process.pid, startedMs, isMainThread: Bun.isMainThread, program: Bun.main, metrics: metrics() };
}
