/**
 * A server in its own process, and its costs: CPU of all its threads (with kernel threads that work
 * for it), memory, descriptors.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { ReactorStats } from "../../src/index.ts";
import type { FromServer } from "../servers/subject.ts";
import { commandOf, isBunPeer, type Peer, type Service } from "./peers.ts";

export interface Usage {
  /** CPU time of the whole process in nanoseconds, with the kernel threads of its rings. */
  cpuNs: number;
  /** CPU time of the JavaScript thread alone, in nanoseconds. */
  jsNs: number;
}

export class ServerProcess {
  readonly peer: Peer;
  port = 0;
  private readonly child: Bun.Subprocess;
  private answers: ((message: FromServer) => void)[] = [];

  /**
   * Starts a server. `cpu` pins it to one processor. Throws for a service that the peer does not
   * have.
   */
  static async start(service: Service, peer: Peer, cpu?: number): Promise<ServerProcess> {
    const command = await commandOf(peer, service);
    if (!command) throw new TypeError(`${peer} has no server for ${service}`);
    // Without this, a paused server would live for ever after its runner is killed.
    const dies = ["setpriv", "--pdeathsig", "KILL"];
    const pinned = cpu === undefined ? [] : ["taskset", "-c", String(cpu)];
    const server = new ServerProcess(peer, [...dies, ...pinned, ...command]);
    server.port = await server.announcedPort();
    return server;
  }

  private constructor(peer: Peer, command: string[]) {
    this.peer = peer;
    this.child = Bun.spawn(command, {
      ...(isBunPeer(peer) && { ipc: (message) => this.answers.shift()?.(message as FromServer) }),
      stdout: isBunPeer(peer) ? "inherit" : "pipe",
      stderr: "inherit",
      env: { ...process.env, NODE_ENV: "production" },
    });
  }

  private async announcedPort(): Promise<number> {
    if (isBunPeer(this.peer)) {
      const first = await this.next();
      if ("port" in first) return first.port;
    } else {
      for await (const text of this.child.stdout as ReadableStream<Uint8Array>)
        return Number(Buffer.from(text).toString());
    }
    throw new Error(`the server of ${this.peer} did not announce its port`);
  }

  get pid(): number {
    return this.child.pid;
  }

  private next(): Promise<FromServer> {
    return new Promise((resolve) => this.answers.push(resolve));
  }

  async ask<T extends FromServer>(question: string): Promise<T> {
    const answer = this.next();
    this.child.send(question);
    return (await answer) as T;
  }

  async stats(): Promise<ReactorStats | null> {
    return (await this.ask<{ stats: ReactorStats | null }>("stats")).stats;
  }

  /** Collects garbage, in the same way in each subject. Returns the rest of the JavaScript heap. */
  async collect(): Promise<{ bytes: number; objects: number }> {
    return (await this.ask<{ heap: { bytes: number; objects: number } }>("collect")).heap;
  }

  /**
   * Reads /proc/PID/task/TID/schedstat, which has nanoseconds; `stat` has hundredths of a second.
   */
  usage(): Usage {
    let cpuNs = 0;
    let jsNs = 0;
    for (const thread of readdirSync(`/proc/${this.pid}/task`)) {
      let ran: number;
      try {
        ran = Number(readFileSync(`/proc/${this.pid}/task/${thread}/schedstat`, "latin1").split(" ")[0]);
      } catch {
        continue; // The thread has just ended.
      }
      cpuNs += ran;
      if (Number(thread) === this.pid) jsNs = ran;
    }
    // An ended thread counts only for the process, in hundredths of a second.
    return { cpuNs: this.peer === "c-threads" ? this.ticks() * 1e7 : cpuNs, jsNs };
  }

  /** Returns the largest resident memory so far. */
  peakKiB(): number {
    return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${this.pid}/status`, "latin1"))![1]);
  }

  /** Returns clock ticks (10 ms) of the process, as `top` and `ps` count. */
  ticks(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, "latin1").split(") ")[1]!.split(" ");
    return Number(fields[11]) + Number(fields[12]);
  }

  residentKiB(): number {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${this.pid}/status`, "latin1"))![1]);
  }

  descriptors(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  sockets(): number {
    return readdirSync(`/proc/${this.pid}/fd`).filter((fd) => {
      try {
        return readlinkSync(`/proc/${this.pid}/fd/${fd}`).startsWith("socket:");
      } catch {
        return false;
      }
    }).length;
  }

  /** Stops the process until `resume()`, so that it uses no processor time. */
  pause(): void {
    this.child.kill("SIGSTOP");
  }

  resume(): void {
    this.child.kill("SIGCONT");
  }

  async stop(): Promise<void> {
    this.resume();
    this.child.kill();
    await this.child.exited;
  }
}
