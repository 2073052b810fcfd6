/** Runs `body` while what the subject says on stderr about failing handlers is kept back. Returns what ringloop said. */
import { spyOn } from "bun:test";

export async function quietly(body: () => Promise<void>): Promise<unknown[]> {
  const spy = spyOn(console, "error").mockImplementation(() => {});
  try {
    await body();
    return spy.mock.calls.map(([first]) => first);
  } finally {
    spy.mockRestore();
  }
}
