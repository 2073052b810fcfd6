import { beforeEach, describe, expect, test } from "bun:test";
import { Wheel, WHEEL_TICK_MS, WheelEntry } from "../../src/reactor/wheel.ts";
import { SeededRandom } from "./seeded-random.ts";

class CallbackEntry extends WheelEntry {
  constructor(override readonly fire: () => void) {
    super();
  }
}

/** Start of the clock. It is not a round number, as with a real clock. */
const START_MS = 1234.5;

let wheel: Wheel;
let nowMs: number;
let fired: string[];

beforeEach(() => {
  nowMs = START_MS;
  wheel = new Wheel(nowMs);
  fired = [];
});

function entry(name: string): WheelEntry {
  return new CallbackEntry(() => fired.push(name));
}

function set(moved: WheelEntry, delayMs: number): void {
  wheel.set(moved, nowMs, delayMs);
}

/** Lets time pass in small steps, as in a busy loop. */
function pass(ms: number): void {
  for (const end = nowMs + ms; nowMs < end;) {
    nowMs = Math.min(end, nowMs + 50);
    wheel.advance(nowMs);
  }
}

describe("an entry", () => {
  test.each([0, 1, 249, 250, 251, 1000, 10_000, 127_000])(
    "fires once, not before %d ms and at most a tick later",
    (delayMs) => {
      pass(130);
      set(entry("a"), delayMs);
      pass(delayMs - 1);
      expect(fired).toEqual([]);
      pass(1 + WHEEL_TICK_MS);
      expect(fired).toEqual(["a"]);
      pass(200_000);
      expect(fired).toEqual(["a"]);
    },
  );

  test.each([128_000, 128_001, 256_000, 600_000, 86_400_000])(
    "beyond the wheel's horizon fires after %d ms all the same",
    (delayMs) => {
      set(entry("a"), delayMs);
      nowMs += delayMs - 1;
      wheel.advance(nowMs);
      expect(fired).toEqual([]);
      pass(1 + WHEEL_TICK_MS);
      expect(fired).toEqual(["a"]);
      expect(wheel.size).toBe(0);
    },
  );

  test("is armed until it fires or is cleared", () => {
    const [a, b] = [entry("a"), entry("b")];
    expect(a.armed).toBe(false);
    set(a, 100);
    set(b, 100);
    expect([a.armed, b.armed, wheel.size]).toEqual([true, true, 2]);
    wheel.clear(b);
    pass(500);
    expect([a.armed, b.armed, wheel.size]).toEqual([false, false, 0]);
    expect(fired).toEqual(["a"]);
  });

  test("may be cleared when it is not armed", () => {
    const a = entry("a");
    wheel.clear(a);
    set(a, 10);
    wheel.clear(a);
    wheel.clear(a);
    expect(wheel.size).toBe(0);
  });

  test("that is moved later does not fire at its first time", () => {
    const a = entry("a");
    set(a, 1000);
    pass(900);
    set(a, 1000);
    pass(999);
    expect(fired).toEqual([]);
    pass(1 + WHEEL_TICK_MS);
    expect(fired).toEqual(["a"]);
  });

  test("that is moved sooner fires at its new time", () => {
    const a = entry("a");
    set(a, 300_000);
    set(a, 500);
    pass(500 + WHEEL_TICK_MS);
    expect(fired).toEqual(["a"]);
    expect(wheel.size).toBe(0);
  });

  test("that is moved later and then sooner, but not as soon as at first, fires at its last time", () => {
    const a = entry("a");
    set(a, 1000);
    set(a, 60_000);
    set(a, 2000);
    pass(1999);
    expect(fired).toEqual([]);
    pass(1 + WHEEL_TICK_MS);
    expect(fired).toEqual(["a"]);
  });

  test("may fire again once it is set again", () => {
    const a = entry("a");
    for (let i = 0; i < 3; i++) {
      set(a, 300);
      pass(600);
    }
    expect(fired).toEqual(["a", "a", "a"]);
  });

  test("fires when the loop was away for longer than the wheel goes round", () => {
    for (const delayMs of [100, 127_000, 129_000, 500_000]) set(entry(String(delayMs)), delayMs);
    nowMs += 400_000;
    wheel.advance(nowMs);
    expect(fired).toEqual(["100", "127000", "129000"]);
  });
});

describe("a callback", () => {
  test("may set its own entry, for the future", () => {
    let count = 0;
    const a = new CallbackEntry(() => {
      count++;
      wheel.set(a, nowMs, 0);
    });
    set(a, 0);
    pass(10 * WHEEL_TICK_MS);
    expect(count).toBe(10);
  });

  test("may clear and move entries that are due with it", () => {
    const [cleared, moved] = [entry("cleared"), entry("moved")];
    const change = (): void => {
      wheel.clear(cleared);
      wheel.set(moved, nowMs, 1000);
    };
    // In any order of the wheel, one of the two is before the others, and one after them. The first
    // that fires decides.
    const first = new CallbackEntry(change);
    const last = new CallbackEntry(change);
    set(first, 100);
    set(cleared, 100);
    set(moved, 100);
    set(last, 100);
    pass(WHEEL_TICK_MS);
    expect(fired).toEqual([]);
    pass(1000 + WHEEL_TICK_MS);
    expect(fired).toEqual(["moved"]);
  });

  test("may advance the wheel, which fires what is due with it, and what is due since", () => {
    const order: string[] = [];
    const outer = new CallbackEntry(() => {
      order.push("outer begins");
      nowMs += WHEEL_TICK_MS;
      wheel.advance(nowMs);
      order.push("outer ends");
    });
    const named = (name: string): WheelEntry => new CallbackEntry(() => order.push(name));
    set(named("after"), 3 * WHEEL_TICK_MS);
    set(named("later"), 2 * WHEEL_TICK_MS);
    set(named("beside"), 0);
    set(outer, 0);
    pass(WHEEL_TICK_MS);
    expect(order.filter((name) => name !== "beside")).toEqual(["outer begins", "later", "outer ends"]);
    expect(order).toContain("beside");
    set(named("own"), 0);
    expect(wheel.nextTickMs).toBeGreaterThan(nowMs);
    pass(WHEEL_TICK_MS);
    expect(order.slice(-2).toSorted()).toEqual(["after", "own"]);
    expect(wheel.size).toBe(0);
  });

  test("that throws does not hold up the others", () => {
    const thrower = (): WheelEntry =>
      new CallbackEntry(() => {
        throw new Error("from a handler");
      });
    for (const each of [thrower(), entry("a"), thrower()]) set(each, 100);
    for (let turn = 0; turn < 3; turn++) {
      nowMs += WHEEL_TICK_MS;
      try {
        wheel.advance(nowMs);
      } catch {}
    }
    expect(fired).toEqual(["a"]);
  });
});

describe("untilNextMs", () => {
  test("is Infinity without entries", () => {
    expect(wheel.untilNextMs(nowMs)).toBe(Infinity);
    const a = entry("a");
    set(a, 100);
    wheel.clear(a);
    expect(wheel.untilNextMs(nowMs)).toBe(Infinity);
  });

  test("is never negative", () => {
    set(entry("a"), 100);
    expect(wheel.untilNextMs(nowMs + 10_000)).toBe(0);
  });

  test.each([100, 5000, 127_999, 600_000])(
    "waking at those times alone is enough for an entry after %d ms",
    (delayMs) => {
      set(entry("a"), delayMs);
      const dueMs = nowMs + delayMs;
      let wakes = 0;
      while (fired.length === 0) {
        nowMs += wheel.untilNextMs(nowMs) + 0.001; // Timers never fire early.
        wheel.advance(nowMs);
        wakes++;
      }
      expect(nowMs).toBeWithin(dueMs, dueMs + WHEEL_TICK_MS + 1);
      expect(wakes).toBeLessThanOrEqual(1 + delayMs / 127_000);
    },
  );
});

test("a wheel agrees with a list of deadlines, whatever is set, moved, cleared and slept through", () => {
  interface Timer {
    entry: WheelEntry;
    dueMs: number; // Infinity while the entry is not armed.
  }
  const random = new SeededRandom(3);
  const wrong: string[] = [];
  let fires = 0;
  const delay = (): number => Math.floor(random.next() < 0.9 ? 2 ** (random.next() * 14) : 2 ** (random.next() * 20));
  const arm = (timer: Timer): void => {
    const delayMs = delay();
    timer.dueMs = nowMs + delayMs;
    wheel.set(timer.entry, nowMs, delayMs);
  };
  const timers = Array.from({ length: 100 }, (_, i) => {
    const timer: Timer = {
      dueMs: Infinity,
      entry: new CallbackEntry(() => {
        if (timer.dueMs === Infinity) wrong.push(`${i} fired though it was not armed`);
        if (timer.dueMs > nowMs) wrong.push(`${i} fired ${timer.dueMs - nowMs} ms early`);
        fires++;
        timer.dueMs = Infinity;
        if (random.next() < 0.3) arm(timer);
        if (random.next() < 0.1) arm(timers[random.below(timers.length)]!);
        if (random.next() < 0.1) disarm(timers[random.below(timers.length)]!);
      }),
    };
    return timer;
  });
  const disarm = (timer: Timer): void => {
    timer.dueMs = Infinity;
    wheel.clear(timer.entry);
  };
  for (let step = 0; step < 20_000; step++) {
    const timer = timers[random.below(timers.length)]!;
    if (random.next() < 0.8) arm(timer);
    else disarm(timer);
    nowMs += random.next() < 0.99 ? random.next() * 100 : random.next() * 300_000;
    wheel.advance(nowMs);
    for (const [i, { dueMs }] of timers.entries())
      if (dueMs + WHEEL_TICK_MS < nowMs) wrong.push(`${i} is ${nowMs - dueMs} ms late in step ${step}`);
    const armed = timers.filter(({ dueMs }) => dueMs !== Infinity).length;
    if (wheel.size !== armed) wrong.push(`${wheel.size} entries, not ${armed}`);
    if (wrong.length > 0) break;
  }
  expect(wrong).toEqual([]);
  expect(fires).toBeGreaterThan(1000);
});
