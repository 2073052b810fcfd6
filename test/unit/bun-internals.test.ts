import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TESTED_BUN } from "../../src/sys/tested-bun.ts";

const root = join(import.meta.dir, "../..");

/**
 * Runs `change` in a Bun, then serves a request with the preload. Returns which functions serve.
 */
function serveWith(change: string): { stdout: string; stderr: string } {
  const program = `
    ${change}
    const { serve } = await import("./src/index.ts");
    const server = serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("served") });
    console.log(server.ring, await (await fetch(server.url)).text());
    await server.stop(true);
  `;
  const command = [process.execPath, "--eval", program];
  const { stdout, stderr } = Bun.spawnSync(command, { cwd: root });
  return { stdout: stdout.toString(), stderr: stderr.toString() };
}

test("the Bun that the tests run on counts as tested", () => {
  const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  expect(TESTED_BUN).toContain(devDependencies.bun);
});

const other = `process.versions.bun = "99.0.0";`;

test("a Bun that ringloop was not tested with, and that does what it relies on, gets the ring", () => {
  expect(serveWith(other)).toEqual({ stdout: "true served\n", stderr: "" });
});

describe("a Bun that ringloop was not tested with serves by its own functions, and says what it does not do:", () => {
  const changes: Record<string, string> = {
    "Bun.peek sees what a Blob in memory holds": `Bun.peek = (promise) => promise;`,
    "Buffer reads and writes text by encoding": `delete Buffer.prototype.utf8Write;`,
    "process.nextTick can be replaced": `Object.defineProperty(process, "nextTick", { writable: false });`,
    "structuredClone detaches memory outside of the heap": `globalThis.structuredClone = () => {};`,
    "AsyncLocalStorage.snapshot enters the context it was taken in": `(await import("node:async_hooks")).AsyncLocalStorage.snapshot = () => (f) => f();`,
    "Bun.serve, Bun.listen, Bun.connect and Bun.udpSocket can be replaced": `Object.defineProperty(Bun, "listen", { writable: false });`,
    "bun:jsc has drainMicrotasks": `require("bun:jsc").drainMicrotasks = undefined;`,
  };
  for (const [reliance, change] of Object.entries(changes))
    test(reliance, () => {
      const { stdout, stderr } = serveWith(other + change);
      expect(stdout).toBe("false served\n");
      expect(stderr).toStartWith(
        `ringloop: serve runs on Bun's own, because Bun 99.0.0 is not one that ringloop was tested with, and it does not hold that ${reliance}. `,
      );
    });
});
