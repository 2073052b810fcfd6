/**
 * Options of the reactor, of serve and of its WebSockets, one at a time, with any value. An allowed
 * value is accepted. Any other value is a TypeError that names the option. The tests have their own
 * definition of the allowed values, as in the documentation.
 */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { readFunction, readLimits, readTarget } from "../../src/bun/serve/serve-options.ts";
import { readWebSocketOptions } from "../../src/bun/websocket/options.ts";
import { requestedMode } from "../../src/reactor/mode.ts";
import { readOptions } from "../../src/reactor/options.ts";
import { holds } from "./property.ts";

const RUNS = 400;

const thrower = (): never => {
  throw new Error("the program's own");
};
/**
 * Values that throw when code looks at them. fast-check looks at values, so it gets their names.
 */
const hostile: Record<string, () => unknown> = {
  symbol: () => Symbol("symbol"),
  "object without prototype": () => Object.create(null),
  "object that is neither text nor number": () => ({
    valueOf: thrower,
    toString: thrower,
    [Symbol.toPrimitive]: thrower,
  }),
  "object that cannot be inspected": () => ({ [Symbol.for("nodejs.util.inspect.custom")]: thrower, toJSON: thrower }),
  "function behind a proxy": () => new Proxy(() => {}, { apply: thrower, get: thrower, getPrototypeOf: thrower }),
  "object behind a proxy": () =>
    new Proxy({}, { get: thrower, has: thrower, ownKeys: thrower, getPrototypeOf: thrower }),
};
type Given = { value: unknown } | { hostile: string };
/** Any value. Values near the limits of options are frequent. */
const anything: fc.Arbitrary<Given> = fc.oneof(
  fc.constantFrom(...Object.keys(hostile)).map((name) => ({ hostile: name })),
  ...[
    fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true, withTypedArray: true }),
    fc.integer({ min: -2, max: 100_000 }),
    fc.nat({ max: 16 }).chain((bits) => fc.integer({ min: 2 ** bits - 1, max: 2 ** bits + 1 })),
    fc.constantFrom(2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53, Infinity, -Infinity, NaN, -0, null, undefined),
    fc.constantFrom("auto", "sqpoll", "defer", "disable", "shared", "dedicated", "32KB", "", "0", "a\0b"),
    fc.boolean(),
    fc.func(fc.anything()),
  ].map((each: fc.Arbitrary<unknown>) => each.map((value) => ({ value }))),
);

const isInteger = (value: unknown, least: number, most: number): boolean =>
  typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;
const isNone = (value: unknown): boolean => value === undefined || value === null;

/** Expects `take` to accept the allowed values, and to refuse all others by the option's name. */
function isTakenOrRefused(name: string, isAllowed: (value: unknown) => boolean, take: (value: any) => unknown): void {
  let taken = 0;
  holds(RUNS, [anything], (given) => {
    const value = "hostile" in given ? hostile[given.hostile]!() : given.value;
    let error: any;
    try {
      take(value);
      taken++;
    } catch (caught) {
      error = caught;
    }
    if (isAllowed(value)) return expect(error).toBeUndefined();
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toStartWith(`${name} must be `);
    expect(["ERR_INVALID_ARG_TYPE", "ERR_INVALID_ARG_VALUE"]).toContain(error.code);
  });
  expect(taken).toBeGreaterThan(0);
  expect(taken).toBeLessThan(RUNS);
}

describe("any value for an option of the reactor is taken or refused by name:", () => {
  const isPowerOfTwo = (value: unknown): boolean =>
    isInteger(value, 2, 32768) && Number.isInteger(Math.log2(value as number));
  const isCount = (value: unknown): boolean => isInteger(value, 0, 2 ** 31 - 1);
  test.each([
    ["sqEntries", isPowerOfTwo],
    ["cqEntries", isPowerOfTwo],
    ["receiveBuffersMax", isPowerOfTwo],
    ["receiveBufferBytes", (value: unknown) => isInteger(value, 1, 2 ** 31 - 1)],
    ["spinUs", isCount],
    ["sqThreadIdleMs", isCount],
    ["restrict", (value: unknown) => typeof value === "boolean"],
  ] as const)("%s", (name, isAllowed) => {
    isTakenOrRefused(name, isAllowed, (value) => readOptions({ [name]: value }, "defer"));
  });

  test("mode", () => {
    const isAllowed = (value: unknown): boolean =>
      isNone(value) || ["auto", "sqpoll", "defer"].includes(value as string);
    isTakenOrRefused("mode", isAllowed, requestedMode);
  });
});

describe("any value for an option of serve is taken or refused by name:", () => {
  const isBytes =
    (least: number) =>
    (value: unknown): boolean =>
      value === undefined || value === Infinity || isInteger(value, least, Number.MAX_SAFE_INTEGER);
  const isSeconds = (value: unknown): boolean =>
    isNone(value) || (typeof value === "number" && value >= 0 && value <= 86400);
  test.each([
    ["idleTimeout", isSeconds],
    ["headerTimeout", isSeconds],
    ["maxRequestBodySize", (value: unknown) => value === null || isBytes(0)(value)],
    ["headerBytesMax", isBytes(256)],
    ["writeQueueBytesMax", isBytes(4096)],
  ] as const)("%s", (name, isAllowed) => {
    isTakenOrRefused(name, isAllowed, (value) => readLimits({ [name]: value }));
  });

  test.each(["fetch", "error"])("%s", (name) => {
    const isAllowed = (value: unknown): boolean => isNone(value) || typeof value === "function";
    isTakenOrRefused(name, isAllowed, (value) => readFunction(name, value));
  });

  test("fd", () => {
    isTakenOrRefused(
      "fd",
      (value) => value === undefined || isInteger(value, 0, 2 ** 31 - 1),
      (value) => readTarget({ fd: value, port: 0 }),
    );
  });

  // A value of another type is converted to a string, as in Bun.
  const textOf = (value: unknown): string | undefined => {
    try {
      return typeof value === "symbol" ? undefined : String(value);
    } catch {
      return undefined;
    }
  };
  test("hostname", () => {
    const isAllowed = (value: unknown): boolean => isNone(value) || textOf(value)?.includes("\0") === false;
    isTakenOrRefused("hostname", isAllowed, (value) => readTarget({ hostname: value, port: 0 }));
  });

  test("unix", () => {
    const isAllowed = (value: unknown): boolean => isNone(value) || textOf(value) !== undefined;
    isTakenOrRefused("unix", isAllowed, (value) => readTarget({ unix: value, port: 0 }));
  });
});

describe("any value for an option of WebSockets is taken or refused by name:", () => {
  const isInteger32 = (value: unknown): boolean => isNone(value) || Number.isInteger(value);
  const isBoolean = (value: unknown): boolean => isNone(value) || typeof value === "boolean";
  const isHandler = (value: unknown): boolean => isNone(value) || typeof value === "function";
  test.each([
    ["maxPayloadLength", isInteger32],
    ["backpressureLimit", isInteger32],
    ["idleTimeout", (value: unknown) => isNone(value) || (Number.isInteger(value) && (value as number) <= 960)],
    ["closeOnBackpressureLimit", isBoolean],
    ["publishToSelf", isBoolean],
    ["sendPings", isBoolean],
    ["open", isHandler],
    ["message", isHandler],
    ["close", isHandler],
  ] as const)("%s", (name, isAllowed) => {
    isTakenOrRefused(`websocket.${name}`, isAllowed, (value) => readWebSocketOptions({ [name]: value }));
  });

  const forms = ["disable", "shared", "dedicated", "3KB", "4KB", "8KB", "16KB", "32KB", "64KB", "128KB", "256KB"];
  test.each(["compress", "decompress"])("perMessageDeflate.%s", (name) => {
    const isAllowed = (value: unknown): boolean => isBoolean(value) || forms.includes(value as string);
    isTakenOrRefused(`websocket.perMessageDeflate.${name}`, isAllowed, (value) =>
      readWebSocketOptions({ perMessageDeflate: { [name]: value } }),
    );
  });
});
