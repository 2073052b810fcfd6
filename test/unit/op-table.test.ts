import { beforeEach, describe, expect, test } from "bun:test";
import { type OperationOwner, OpTable } from "../../src/reactor/op-table.ts";
import { SeededRandom } from "./seeded-random.ts";

const Receive = 1;
const Send = 2;

const anOwner = (): OperationOwner => ({ complete() {} });

let table: OpTable;

beforeEach(() => {
  table = new OpTable();
});

/**
 * Handles the last completion of an operation as the reactor does. Returns the owner that gets it.
 */
function completeLast(slot: number, tag: number): OperationOwner | undefined {
  const owner = table.ownerOf(slot, tag);
  if (owner === undefined) return undefined;
  table.end(slot, tag & 0xff);
  table.settle(slot);
  return owner;
}

describe("a tag", () => {
  test("leads a completion to the owner of its slot", () => {
    const [first, second] = [anOwner(), anOwner()];
    const [a, b] = [table.acquire(first), table.acquire(second)];
    const [tagA, tagB] = [table.begin(a, Receive), table.begin(b, Receive)];
    expect(table.ownerOf(a, tagA)).toBe(first);
    expect(table.ownerOf(b, tagB)).toBe(second);
  });

  test("carries the kind in its low byte, up to 7", () => {
    const slot = table.acquire(anOwner());
    expect([0, Receive, 7].map((kind) => table.begin(slot, kind) & 0xff)).toEqual([0, Receive, 7]);
  });

  test("can be had again for cancelling", () => {
    const slot = table.acquire(anOwner());
    expect(table.tagOf(slot, Send)).toBe(table.begin(slot, Send));
    expect(table.inFlightOf(slot)).toBe(1);
  });

  test("of a slot's former life leads nowhere", () => {
    const former = table.acquire(anOwner());
    const stale = table.begin(former, Receive);
    completeLast(former, stale);
    table.release(former);
    const owner = anOwner();
    const slot = table.acquire(owner);
    expect(slot).toBe(former);
    const tag = table.begin(slot, Receive);
    expect(table.ownerOf(slot, stale)).toBeUndefined();
    expect(table.ownerOf(slot, tag)).toBe(owner);
  });

  test("leads nowhere when nothing of its slot is in flight", () => {
    const slot = table.acquire(anOwner());
    expect(table.ownerOf(slot, table.tagOf(slot, Receive))).toBeUndefined();
  });

  test("of a kind that is not in flight leads nowhere, whatever else of its slot is", () => {
    const slot = table.acquire(anOwner());
    const receive = table.begin(slot, Receive);
    for (let kind = 0; kind < 256; kind++)
      if (kind !== Receive) expect(table.ownerOf(slot, table.tagOf(slot, kind))).toBeUndefined();
    table.begin(slot, Send);
    completeLast(slot, receive);
    expect(table.ownerOf(slot, receive)).toBeUndefined();
    expect(table.ownerOf(slot, table.tagOf(slot, Send))).toBeDefined();
  });

  test("is refused to the 256th operation of its kind, since they are counted in a byte", () => {
    const slot = table.acquire(anOwner());
    for (let i = 0; i < 255; i++) table.begin(slot, Send);
    expect(() => table.begin(slot, Send)).toThrow("256 operations");
  });

  test.each([5, 63, 64, 0xffffffff])("for slot %d, which was never handed out, leads nowhere", (slot) => {
    table.acquire(anOwner());
    expect(table.ownerOf(slot, 0)).toBeUndefined();
  });

  test("stays an unsigned 32-bit number, and its own, after 2^24 lives", () => {
    let slot = table.acquire(anOwner());
    let greatest = 0;
    for (let life = 0; life < 2 ** 24 - 1; life++) {
      table.release(slot);
      slot = table.acquire(noOwner);
    }
    for (let life = 0; life < 3; life++) {
      const tag = table.begin(slot, 7);
      greatest = Math.max(greatest, tag);
      expect(table.ownerOf(slot, tag)).toBe(noOwner);
      completeLast(slot, tag);
      table.release(slot);
      slot = table.acquire(noOwner);
    }
    expect(greatest).toBe(0xffffff07);
  });
});

const noOwner = anOwner();

describe("release", () => {
  test("before the last completion keeps the slot for what is to come", () => {
    const owner = anOwner();
    const slot = table.acquire(owner);
    const tags = [table.begin(slot, Receive), table.begin(slot, Send)];
    table.release(slot);
    expect(table.acquire(anOwner())).not.toBe(slot);
    expect(completeLast(slot, tags[0]!)).toBe(owner);
    expect(table.acquire(anOwner())).not.toBe(slot);
    expect(completeLast(slot, tags[1]!)).toBe(owner);
    expect(table.acquire(anOwner())).toBe(slot);
  });

  test("after the last completion frees the slot at once", () => {
    const slot = table.acquire(anOwner());
    completeLast(slot, table.begin(slot, Receive));
    expect(table.slotsInUse).toBe(1);
    table.release(slot);
    expect(table.slotsInUse).toBe(0);
    expect(table.acquire(anOwner())).toBe(slot);
  });

  test("in a last completion's callback does not free the slot twice", () => {
    const slot = table.acquire(anOwner());
    table.begin(slot, Receive);
    table.end(slot, Receive);
    table.release(slot);
    table.settle(slot);
    expect(table.slotsInUse).toBe(0);
    expect(table.acquire(anOwner())).not.toBe(table.acquire(anOwner()));
  });

  test("a second time throws, whether or not something is in flight", () => {
    const idle = table.acquire(anOwner());
    const busy = table.acquire(anOwner());
    table.begin(busy, Receive);
    for (const slot of [idle, busy]) {
      table.release(slot);
      expect(() => table.release(slot)).toThrow("released twice");
    }
  });
});

describe("counts", () => {
  test("a multishot operation is in flight until its last completion", () => {
    const owner = anOwner();
    const slot = table.acquire(owner);
    const tag = table.begin(slot, Receive);
    for (let i = 0; i < 3; i++) expect(table.ownerOf(slot, tag)).toBe(owner);
    expect([table.inFlight, table.inFlightOf(slot)]).toEqual([1, 1]);
    completeLast(slot, tag);
    expect([table.inFlight, table.inFlightOf(slot)]).toEqual([0, 0]);
  });

  test("operations are counted over all slots", () => {
    const [a, b] = [table.acquire(anOwner()), table.acquire(anOwner())];
    for (const slot of [a, a, b]) table.begin(slot, Send);
    expect([table.inFlight, table.inFlightOf(a), table.inFlightOf(b)]).toEqual([3, 2, 1]);
  });

  test("slots are reused before there are more", () => {
    const slots = Array.from({ length: 10 }, () => table.acquire(anOwner()));
    for (const slot of slots) table.release(slot);
    for (let i = 0; i < 10; i++) table.acquire(anOwner());
    expect([table.slotsInUse, table.capacity]).toEqual([10, 10]);
  });

  test("the table grows without losing what it knows", () => {
    const owners = Array.from({ length: 1000 }, anOwner);
    const tags = owners.map((owner) => {
      const slot = table.acquire(owner);
      return [slot, table.begin(slot, Receive)] as const;
    });
    expect(table.capacity).toBe(1000);
    expect(tags.every(([slot, tag], i) => table.ownerOf(slot, tag) === owners[i])).toBe(true);
  });
});

test("every completion reaches the owner it was begun for, or nobody, in any order of events", () => {
  interface Life {
    owner: OperationOwner;
    slot: number;
    tags: number[];
  }
  const random = new SeededRandom(11);
  const live: Life[] = []; // Owners that are not released.
  const released: Life[] = []; // Released owners whose operations are in flight.
  const stale: [slot: number, tag: number][] = [];
  const take = <T>(list: T[]): T => list.splice(random.below(list.length), 1)[0]!;
  const wrong: string[] = [];
  for (let step = 0; step < 30_000; step++) {
    const action = random.below(5);
    if (action === 0 && live.length < 200) {
      const owner = anOwner();
      live.push({ owner, slot: table.acquire(owner), tags: [] });
    } else if (action <= 2 && live.length > 0) {
      const life = live[random.below(live.length)]!;
      life.tags.push(table.begin(life.slot, random.below(8)));
    } else if (action === 3 && live.length > 0 && random.next() < 0.3) {
      const life = take(live);
      table.release(life.slot);
      if (life.tags.length > 0) released.push(life);
    } else {
      const list = random.next() < 0.5 ? live : released;
      const life = list[random.below(list.length)];
      if (life === undefined || life.tags.length === 0) continue;
      const tag = take(life.tags);
      if (completeLast(life.slot, tag) !== life.owner) wrong.push(`step ${step}: not delivered`);
      if (list === released && life.tags.length === 0) {
        released.splice(released.indexOf(life), 1);
        stale.push([life.slot, tag]);
      }
    }
    const old = stale[random.below(stale.length)];
    if (old && table.ownerOf(...old) !== undefined) wrong.push(`step ${step}: a stale completion was delivered`);
  }
  expect(wrong).toEqual([]);
  expect(stale.length).toBeGreaterThan(100);
  expect(table.inFlight).toBe([...live, ...released].reduce((sum, { tags }) => sum + tags.length, 0));
  expect(table.slotsInUse).toBe(live.length + released.length);
  expect(new Set([...live, ...released].map(({ slot }) => slot)).size).toBe(live.length + released.length);
});
