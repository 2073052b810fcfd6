/**
 * An HTTP server that, after the message "go", also uses everything that Bun's own loop serves. It
 * reports how late each result was.
 */
import { announce, serve } from "./subject.ts";

const server = serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: () => new Response("Hello, World!"),
});

const TIMER_MS = 20;
const ROUNDS = 20;

/** Returns how many milliseconds longer than `expectedMs` the action took. */
async function late(expectedMs: number, action: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await action();
  return performance.now() - start - expectedMs;
}

async function measure(otherUrl: string): Promise<Record<string, number[]>> {
  const worker = new Worker(new URL("./loop-worker.ts", import.meta.url).href);
  const echo = (): Promise<unknown> =>
    new Promise((resolve) => {
      worker.onmessage = resolve;
      worker.postMessage("ping");
    });
  await echo();
  const actions: Record<string, () => Promise<number>> = {
    setTimeout: () => late(TIMER_MS, () => new Promise((resolve) => setTimeout(resolve, TIMER_MS))),
    sleep: () => late(TIMER_MS, () => Bun.sleep(TIMER_MS)),
    immediate: () => late(0, () => new Promise((resolve) => setImmediate(resolve))),
    readFile: () => late(0, () => import("node:fs/promises").then(({ readFile }) => readFile(import.meta.path))),
    fetch: () => late(0, () => fetch(otherUrl).then((response) => response.text())),
    worker: () => late(0, echo),
    spawn: () => late(0, () => Bun.spawn(["true"]).exited),
  };
  const results: Record<string, number[]> = {};
  for (const [name, action] of Object.entries(actions)) {
    results[name] = [];
    for (let i = 0; i < ROUNDS; i++) results[name].push(await action());
  }
  worker.terminate();
  return results;
}

announce(server.port!, (question) => {
  if (!question.startsWith("go ")) return undefined;
  return measure(question.slice(3)).then((loop) => ({ loop }));
});
