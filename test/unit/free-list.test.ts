/** A list of objects that are kept for reuse. */
import { expect, test } from "bun:test";
import { FreeList } from "../../src/reactor/free-list.ts";

test("what was given back is taken again, and no more is kept than the number", () => {
  const list = new FreeList<object>(3);
  expect(list.take()).toBeUndefined();
  const items = Array.from({ length: 5 }, () => ({}));
  for (const item of items) list.give(item);
  expect(list.count).toBe(3);
  const taken = [list.take(), list.take(), list.take()];
  expect(new Set(taken).size).toBe(3);
  for (const item of taken) expect(items).toContain(item!);
  expect(list.take()).toBeUndefined();
});
