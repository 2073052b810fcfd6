/**
 * Runs `body`. Meanwhile the subject's reports of failing handlers reach neither stderr nor
 * bun:test. Returns the reports of ringloop.
 */
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
