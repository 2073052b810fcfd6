/**
 * A measured server process: `bun <server>.ts <subject>`. The subjects are Bun's own functions, and
 * ringloop in each mode.
 */
import { heapStats } from "bun:jsc";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ReactorStats } from "../../src/index.ts";

const subject = process.argv[2] ?? "defer";
if (subject !== "bun") process.env.RINGLOOP_MODE = subject;

export const isBun = subject === "bun";
const ringloop = isBun ? undefined : await import("../../src/index.ts");

export const serve = (ringloop?.serve ?? Bun.serve) as typeof Bun.serve;
export const listen = (ringloop?.listen ?? Bun.listen) as typeof Bun.listen;
export const udpSocket = (ringloop?.udpSocket ?? Bun.udpSocket) as typeof Bun.udpSocket;

/** A message of a server to its runner. */
export type FromServer =
  { port: number } | { heap: { bytes: number; objects: number } } | { stats: ReactorStats | null } | { loop: unknown };

/** Reports the port, and answers questions about the ring. */
export function announce(port: number, answer?: (question: string) => Promise<FromServer> | undefined): void {
  process.on("message", async (question: string) => {
    const answered = answer?.(question);
    if (answered) process.send!(await answered);
    else if (question === "collect") {
      Bun.gc(true); // Uncollected memory must not count as lost.
      const { heapSize, objectCount } = heapStats();
      process.send!({ heap: { bytes: heapSize, objects: objectCount } } satisfies FromServer);
    } else if (question === "stats")
      process.send!({ stats: ringloop?.useReactor().stats() ?? null } satisfies FromServer);
  });
  process.on("disconnect", () => process.exit(0)); // The runner has ended.
  process.send!({ port } satisfies FromServer);
}

/** Returns a new directory. It is removed when the process ends. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "ringloop-bench-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  process.on("SIGTERM", () => process.exit(0));
  return directory;
}
