/** Unmodified programs of node:http: with the preload on ringloop, without it on Bun. */
import { readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { fixture, Program } from "./process.ts";
import { isBun } from "./subject.ts";

const underPreload = isBun ? [] : ["--preload", join(import.meta.dir, "../../src/register.ts")];

/** A running program that has printed the ports of its servers, by name. */
export class NodeApp<Name extends string> implements AsyncDisposable {
  private readonly program: Program;
  private readonly ports: Record<Name, number>;

  private constructor(program: Program, ports: Record<Name, number>) {
    this.program = program;
    this.ports = ports;
  }

  /** Starts a fixture. `options` are options of Bun. */
  static async start<Name extends string>(file: string, options: string[] = []): Promise<NodeApp<Name>> {
    const program = new Program([process.execPath, ...options, ...underPreload, fixture(file)]);
    return new NodeApp(program, await program.line());
  }

  /**
   * Whether the subject serves the program. A process has a ring as soon as ringloop serves
   * something in it.
   */
  get isServedBySubject(): boolean {
    const links = readdirSync(`/proc/${this.program.pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${this.program.pid}/fd/${fd}`);
      } catch {
        return ""; // The descriptor was closed meanwhile.
      }
    });
    return links.includes("anon_inode:[io_uring]") !== isBun;
  }

  url(name: Name, path: string, protocol = "http"): string {
    return `${protocol}://127.0.0.1:${this.ports[name]}${path}`;
  }

  fetch(name: Name, path: string, init?: RequestInit): Promise<Response> {
    return fetch(this.url(name, path), init);
  }

  /** Ends the program. Throws an Error if it had ended before, or has printed an error. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { running } = this.program;
    await this.program[Symbol.asyncDispose]();
    const stderr = await this.program.stderr;
    if (!running || stderr !== "") throw new Error(`${running ? "" : "ended by itself. "}${stderr}`);
  }
}

export function postJson(value: unknown): RequestInit {
  return { method: "POST", body: JSON.stringify(value), headers: { "content-type": "application/json" } };
}

/** Returns a function that returns the messages of a WebSocket, one after another. */
export function messagesOf(socket: WebSocket): () => Promise<unknown> {
  const come: unknown[] = [];
  let wake = (): void => {};
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    come.push(data);
    wake();
  };
  return async () => {
    while (come.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return come.shift();
  };
}
