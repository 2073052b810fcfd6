/** The example chat in two processes. The Redis server between them stops and starts again. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { freePort } from "../../bench/runner/free-port.ts";
import { Program } from "./process.ts";
import { isBun } from "./subject.ts";

const redis = Bun.which("redis-server");

async function startRedis(port: number): Promise<Program> {
  const program = new Program([
    redis!,
    "--port",
    String(port),
    "--bind",
    "127.0.0.1",
    "--save",
    "",
    "--appendonly",
    "no",
  ]);
  for (;;) {
    try {
      const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
      socket.end();
      return program;
    } catch {
      if (!program.running) throw new Error(`redis-server ended: ${await program.stderr}`);
      await Bun.sleep(10);
    }
  }
}

class Guest {
  private readonly socket: WebSocket;
  private readonly lines: string[] = [];
  private wake = (): void => {};

  constructor(port: number, name: string) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/chat?room=tea&name=${name}`);
    this.socket.onmessage = ({ data }) => {
      const { name, text } = JSON.parse(data);
      this.lines.push(`${name}: ${text}`);
      this.wake();
    };
  }

  say(text: string): void {
    this.socket.send(text);
  }

  async hears(line: string): Promise<void> {
    while (!this.lines.includes(line)) await new Promise<void>((resolve) => (this.wake = resolve));
  }

  count(line: string): number {
    return this.lines.filter((each) => each === line).length;
  }

  close(): void {
    this.socket.close();
  }
}

describe.skipIf(isBun || redis === null)("a chat in two processes", () => {
  test("is one chat, is two while Redis is away, and one again when it is back", async () => {
    const redisPort = await freePort();
    const ports = [await freePort(), await freePort()];
    let store = await startRedis(redisPort);
    const programs = ports.map(
      (port) =>
        new Program([process.execPath, join(import.meta.dir, "../../examples/chat-cluster.ts")], {
          PORT: String(port),
          REDIS_URL: `redis://127.0.0.1:${redisPort}`,
        }),
    );
    try {
      // Each program prints its address as soon as it listens.
      for (const program of programs) await program.text("http://");
      const ann = new Guest(ports[0]!, "ann");
      await ann.hears("ann: is here");
      const ben = new Guest(ports[1]!, "ben");
      await Promise.all([ann.hears("ben: is here"), ben.hears("ben: is here")]);
      ann.say("together");
      await Promise.all([ann.hears("ann: together"), ben.hears("ann: together")]);

      await store.stop("SIGKILL");
      ann.say("alone");
      ben.say("alone");
      await Promise.all([ann.hears("ann: alone"), ben.hears("ben: alone")]);

      store = await startRedis(redisPort);
      // Repeats until both programs have connected to Redis. Only an arriving message shows it.
      const both = Promise.all([ann.hears("ben: back"), ben.hears("ann: back")]);
      while (Bun.peek.status(both) === "pending") {
        ann.say("back");
        ben.say("back");
        await Promise.race([both, Bun.sleep(50)]);
      }
      ann.say("again");
      await ben.hears("ann: again");
      await ann.hears("ann: again");
      expect([
        ann.count("ann: together"),
        ben.count("ann: together"),
        ben.count("ann: again"),
        ann.count("ann: again"),
      ]).toEqual([1, 1, 1, 1]);
      expect([ann.count("ben: alone"), ben.count("ann: alone")]).toEqual([0, 0]);
      ben.close();
      await ann.hears("ben: has left");
      ann.close();
    } finally {
      for (const program of [...programs, store]) await program[Symbol.asyncDispose]();
    }
  });
});
