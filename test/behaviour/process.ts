/** Programs that tests start: other people's clients, and servers of their own in fixtures/. All are ended by their handle. */
import { join } from "node:path";

export interface Outcome {
  stdout: string;
  stderr: string;
  exitCode: number;
}

/** The variables of this process with some set, or, as undefined, taken out. */
export type Environment = Record<string, string | undefined>;

/** A sanitizer that this process was started with (test/sanitizers.ts) is for Bun: other programs do not all bear it. */
function environmentOf([program]: string[], env: Environment): Environment {
  const isSanitized = process.env.LD_PRELOAD !== undefined;
  if (!isSanitized || program === process.execPath) return { ...process.env, ...env };
  return { ...process.env, LD_PRELOAD: undefined, RINGLOOP_LIBRARY: undefined, ...env };
}

/** Runs a program to its end, with `input` as its standard input. Throws when it fails, with what it said. */
export async function run(command: string[], input: string | Uint8Array = "", env: Environment = {}): Promise<Outcome> {
  const outcome = await attempt(command, input, env);
  if (outcome.exitCode !== 0)
    throw new Error(`${command[0]} ended with ${outcome.exitCode}: ${outcome.stderr || outcome.stdout}`);
  return outcome;
}

/** As `run`, for a program that may fail. */
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

/** A program that runs until it ends by itself, is disposed of, or this process is gone. Its stderr is collected. */
export class Program implements AsyncDisposable {
  readonly exited: Promise<number>;
  readonly pid: number;

  private readonly group: boolean;
  private readonly child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private readonly stderrText: Promise<string>;
  private said = "";

  /** `group`: it has a process group of its own, and that is what ends with it: for programs behind a script. */
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

  /** A fixture as a Bun program. */
  static fixture(name: string, env: Environment = {}): Program {
    return new Program([process.execPath, fixture(name)], env);
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** The next line of its stdout, as JSON. Throws when it ends before, with what it said. */
  async line(): Promise<any> {
    return JSON.parse(await this.text(""));
  }

  /** The next line of its stdout that has this in it. */
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

  /** Writes a line to its stdin. */
  tell(text: string): void {
    void this.child.stdin.write(`${text}\n`);
    void this.child.stdin.flush();
  }

  /** What it said on stderr, once it has ended. */
  get stderr(): Promise<string> {
    return this.stderrText;
  }

  /** Ends it, with SIGTERM unless another signal is named. */
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
