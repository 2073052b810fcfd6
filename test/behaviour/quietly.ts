/** Runs `body` while what the subject reports of failing handlers is kept back, from stderr and from bun:test. Returns what ringloop reported. */
import { spyOn } from "bun:test";

export async function quietly(body: () => Promise<void>): Promise<unknown[]> {
  const spies = [
    spyOn(console, "error").mockImplementation(() => {}),
    spyOn(globalThis, "reportError").mockImplementation(() => {}),
  ];
  try {
    await body();
    return spies.flatMap(({ mock }) => mock.calls.map(([first]) => first as unknown));
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}
