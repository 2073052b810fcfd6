/** A program that has installed the package. It uses each entry, and is compiled as TypeScript. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dir, "../..");

const program = `
import { connectStream, LibraryError, listen, listenStream, serve, SystemError, udpSocket, useReactor } from "ringloop";
import type { FileHandle, Mode, Operation, Reactor, ReactorStats, Server, Socket, StreamSocket } from "ringloop";
import { open, readFile, stat, writeFile } from "ringloop/fs";
import { exposeMetrics, type MetricDescription, metrics, type MetricsEndpoint, metricsText } from "ringloop/metrics";
import { AT_FDCWD, Ring } from "ringloop/ring";
import "ringloop/register";

const server = serve({
  port: 0,
  mode: "defer",
  routes: { "/": () => new Response("x"), "/:id": (request) => new Response(request.params.id) },
  websocket: { message: (socket, message) => void socket.send(message) },
  fetch: (request, self) => (self.upgrade(request) ? undefined : new Response("no WebSocket")),
});
export const onTheRing: boolean = server.ring;
// @ts-expect-error It is a boolean.
export const wrong: string = server.ring;
listen({ hostname: "127.0.0.1", port: 0, socket: { data: (socket, data) => void socket.write(data) } });
export const reactor: Reactor = useReactor();
export const stats: ReactorStats = reactor.stats();
export const text: Promise<string> = readFile("x", "utf8");
export const file: Promise<FileHandle> = open("x", "r", { direct: true });
export const size: Promise<number> = stat("x").then((found) => found.size);
export const written: Promise<void> = writeFile("x", "y", { atomic: true });
using ring = Ring.queueInit(8);
ring.getSqe()!.prepNop().setUserData(1, 2);
for await (const chunk of await connectStream({ hostname: "127.0.0.1", port: 1 })) console.log(chunk.toString(), AT_FDCWD);
export const read: Promise<number> = reactor.read(0, new Uint8Array(8));
export const numbers: Record<string, number> = metrics();
export const exposed: Promise<MetricsEndpoint> = exposeMetrics({ unix: "metrics.sock" });
export const page: string = metricsText();
export const values = [listenStream, udpSocket, SystemError, LibraryError];
export type Types = [MetricDescription, Operation<number>, Server, Socket, Mode, StreamSocket];
`;

const strict = { strict: true, noEmit: true, target: "esnext", lib: ["esnext"] };
export const settings: Record<string, object> = {
  "bun init's settings": {
    lib: ["ESNext"],
    target: "ESNext",
    module: "Preserve",
    moduleDetection: "force",
    jsx: "react-jsx",
    allowJs: true,
    types: ["bun"],
    moduleResolution: "bundler",
    allowImportingTsExtensions: true,
    verbatimModuleSyntax: true,
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    noFallthroughCasesInSwitch: true,
    noUncheckedIndexedAccess: true,
    noImplicitOverride: true,
  },
  "nodenext and skipLibCheck off": { ...strict, module: "nodenext", skipLibCheck: false },
  "nodenext, skipLibCheck off and every strict option": {
    ...strict,
    module: "nodenext",
    skipLibCheck: false,
    exactOptionalPropertyTypes: true,
    isolatedModules: true,
    noUncheckedIndexedAccess: true,
    noPropertyAccessFromIndexSignature: true,
    noImplicitReturns: true,
  },
};

export class Consumer implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "ringloop-consumer-"));
  /** The directory of the unpacked package. */
  readonly package = join(this.directory, "node_modules/ringloop");

  /** `packages`: the directory with the tarballs. */
  constructor(packages: string) {
    const [tarball] = readdirSync(packages).filter((file) => /^ringloop-[0-9.]+.tgz$/.test(file));
    mkdirSync(this.package, { recursive: true });
    const command = ["tar", "-xzf", join(packages, tarball!), "--strip-components=1", "-C", this.package];
    if (!Bun.spawnSync(command).success) throw new Error(`${tarball} is no tarball`);
    for (const name of ["@types", "bun-types", "undici-types"])
      symlinkSync(join(root, "node_modules", name), join(this.directory, "node_modules", name));
    writeFileSync(join(this.directory, "package.json"), '{ "name": "consumer", "type": "module" }');
    writeFileSync(join(this.directory, "program.ts"), program);
  }

  /** Returns the compiler's messages about the program, or "" if there are none. */
  async compile(compiler: string[], compilerOptions: object): Promise<string> {
    const config = join(this.directory, "tsconfig.json");
    writeFileSync(config, JSON.stringify({ compilerOptions, files: ["program.ts"] }));
    await using child = Bun.spawn([...compiler, "--project", config], { stdout: "pipe", stderr: "pipe" });
    return (await child.stdout.text()) + (await child.stderr.text());
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}
