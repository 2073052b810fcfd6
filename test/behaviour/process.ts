/**
 * Programs that tests start: third-party clients, and the servers in fixtures/. The handle of a
 * program ends it.
 */
import { join } from "node:path";

export interface Outcome {
  stdout: string;
  stderr: string;
  exitCode: number;
}

/** Changes to the environment of this process. An undefined value removes the variable. */
export type Environment = Record<string, string | undefined>;

/**
 * Returns the environment for a program. If this process runs with a sanitizer
 * (test/sanitizers.ts), only Bun gets it, because some other programs fail with it.
 */
function environmentOf([program]: string[], env: Environment): Environment {
  const isSanitized = process.env.LD_PRELOAD !== undefined;
  if (!isSanitized || program === process.execPath) return { ...process.env, ...env };
  return { ...process.env, LD_PRELOAD: undefined, RINGLOOP_LIBRARY: undefined, ...env };
}

/**
 * Runs a program to its end, with `input` as its standard input. Throws if the program fails, with
 * its output in the error.
 */
export async function run(command: string[], input: string | Uint8Array = "", env: Environment = {}): Promise<Outcome> {
  const outcome = await attempt(command, input, env);
  if (outcome.exitCode !== 0)
    throw new Error(`${command[0]} ended with ${outcome.exitCode}: ${outcome.stderr || outcome.stdout}`);
  return outcome;
}

/** As `run`, but does not throw if the program fails. */
export async function attempt(
  command: string[],
  input: string | Uint8Array = "",
  env: Environment = {},
): Promise<Outcome> {
  const stdin = typeof input === "string" ? Buffer.from(input, "latin1") : input;
  await using child = Bun.spawn(command, { stdin, stdout: "pipe", stderr: "pipe", env: environmentOf(command, env) });
  const [stdout, stderr, exitCode] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { stdout, stderr, exitCode };
}

export function fixture(name: string): string {
  return join(import.meta.dir, "fixtures", name);
}

/**
 * A program that runs until it ends by itself, is disposed of, or this process ends. Its stderr is
 * collected.
 */
export class Program implements AsyncDisposable {
  readonly exited: Promise<number>;
  readonly pid: number;

  private readonly group: boolean;
  private readonly child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private readonly stderrText: Promise<string>;
  private said = "";

  /**
   * `group`: whether the program gets its own process group, and `stop` ends the whole group. For
   * programs that a script starts.
   */
  constructor(command: string[], env: Environment = {}, group = false) {
    const io = { stdin: "pipe", stdout: "pipe", stderr: "pipe" } as const;
    const argv = ["setpriv", "--pdeathsig", "KILL", ...command];
    this.child = Bun.spawn(argv, { ...io, env: environmentOf(command, env), detached: group });
    this.group = group;
    this.pid = this.child.pid;
    this.exited = this.child.exited;
    this.reader = this.child.stdout.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    this.stderrText = this.child.stderr.text();
  }

  /** Starts a fixture as a Bun program. */
  static fixture(name: string, env: Environment = {}): Program {
    return new Program([process.execPath, fixture(name)], env);
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Returns the next line of stdout, parsed as JSON. Throws if the program ends before. */
  async line(): Promise<any> {
    return JSON.parse(await this.text(""));
  }

  /** Returns the next line of stdout that contains `part`. */
  async text(part: string): Promise<string> {
    for (;;) {
      const end = this.said.indexOf("\n");
      if (end >= 0) {
        const line = this.said.slice(0, end);
        this.said = this.said.slice(end + 1);
        if (line.includes(part)) return line;
        continue;
      }
      const { done, value } = await this.reader.read();
      if (done) throw new Error(`the program ended with ${await this.exited}: ${await this.stderrText}`);
      this.said += Buffer.from(value).toString();
    }
  }

  /** Writes a line to stdin. */
  tell(text: string): void {
    void this.child.stdin.write(`${text}\n`);
    void this.child.stdin.flush();
  }

  /** The text of stderr, once the program has ended. */
  get stderr(): Promise<string> {
    return this.stderrText;
  }

  /** Ends the program, by default with SIGTERM. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    if (this.group) process.kill(-this.pid, signal);
    else this.child.kill(signal);
    return this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.running) await this.stop("SIGKILL");
    await this.exited;
  }
}
