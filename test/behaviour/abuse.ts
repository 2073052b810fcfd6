/**
 * A server under abuse. fixtures/abuser.ts attacks fixtures/abused.ts, each in its own process.
 * Meanwhile a normal client in this process sends its usual requests.
 *
 * It measures how long the answers to the normal client take before and during the attack, and
 * which resources the server holds.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { ReactorStats } from "../../src/index.ts";
import { fixture, Program } from "./process.ts";
import { RawClient } from "./raw-client.ts";

/** Number of connections of each attack. For datagrams: number of them every 10 ms. */
export const attacks: Record<string, number> = {
  "slow heads": 300,
  "slow bodies": 300,
  "huge heads": 20,
  "endless chunks": 10,
  "an endless chunk extension": 10,
  "endless trailers": 10,
  "endless bodies": 10,
  "a flood of pipelined requests": 10,
  "answers that nobody reads": 30,
  "streams that nobody reads": 30,
  "echoes that nobody reads": 30,
  "connections that are reset at once": 50,
  "connections that are reset in a request": 50,
  "connections that are reset in a large answer": 3,
  "TLS and nonsense": 50,
  "nonsense in datagrams": 50,
};

export interface Held {
  residentKiB: number;
  descriptors: number;
  pending: number;
  /** Null for Bun. */
  ring: ReactorStats | null;
}

export interface Ports {
  http: number;
  tcp: number;
  udp: number;
}

/** Pause of the normal client between two requests. */
const PAUSE_MS = 2;
const REQUESTS_IN_WINDOW = 30;

export class AbusedServer implements AsyncDisposable {
  readonly program: Program;
  readonly ports: Ports;

  static async start(): Promise<AbusedServer> {
    const program = Program.fixture("abused.ts");
    const ports = (await program.line()) as Ports;
    const server = new AbusedServer(program, ports);
    await server.p99Ms(3); // Lets the compiler translate the code.
    return server;
  }

  private constructor(program: Program, ports: Ports) {
    this.program = program;
    this.ports = ports;
  }

  /**
   * Returns the median of the p99s of `windows` windows, as the normal client sees them. Throws if
   * an answer is wrong.
   */
  async p99Ms(windows: number): Promise<number> {
    const p99s: number[] = [];
    using client = await RawClient.connect(this.ports.http);
    for (let window = 0; window < windows; window++) {
      const ms: number[] = [];
      for (let i = 0; i < REQUESTS_IN_WINDOW; i++) {
        const begun = performance.now();
        if ((await ask(client, "/")) !== "served") throw new Error("a client that behaves was answered wrongly");
        ms.push(performance.now() - begun);
        await Bun.sleep(PAUSE_MS);
      }
      p99s.push(ms.toSorted((a, b) => a - b)[Math.floor(ms.length * 0.99)]!);
    }
    return p99s.toSorted((a, b) => a - b)[p99s.length >> 1]!;
  }

  async held(): Promise<Held> {
    const { pid } = this.program;
    using client = await RawClient.connect(this.ports.http);
    const { pending, ring } = JSON.parse(await ask(client, "/holdings"));
    const residentKiB = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))![1]);
    return { residentKiB, descriptors: readdirSync(`/proc/${pid}/fd`).length, pending, ring };
  }

  /**
   * Resolves when the server holds no more resources than before, and returns them. If that never
   * happens, the time limit of the test ends it.
   */
  async settled(before: Held): Promise<Held> {
    for (;;) {
      const now = await this.held();
      const { ring } = now;
      if (
        now.descriptors <= before.descriptors + 1 && // The waker of the ring has one while the reactor is parked.
        now.pending <= before.pending &&
        (ring === null ||
          (ring.slotsInUse <= before.ring!.slotsInUse && ring.sendBytesInUse <= before.ring!.sendBytesInUse))
      )
        return now;
      await Bun.sleep(5);
    }
  }

  /** Starts an attack. Resolves when the attack is in place. It lasts until the program ends. */
  async attack(name: string, count: number): Promise<Program> {
    const attacker = new Program([
      process.execPath,
      fixture("abuser.ts"),
      name,
      JSON.stringify(this.ports),
      String(count),
    ]);
    await attacker.line();
    return attacker;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
  }
}

async function ask(client: RawClient, path: string): Promise<string> {
  void client.write(`GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`);
  return (await client.readResponse()).text;
}
