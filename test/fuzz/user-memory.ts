/**
 * Memory of programs, of every kind in JavaScript, and its changes while it is read or written.
 *
 * All bytes are of a small alphabet: zero and the letters a to z. Each memory has two letters of
 * its own, except memory that several operations share. So a byte of another memory, or of none, is
 * found in every place.
 */
import { CANARY } from "./canary.ts";
import type { Step } from "./campaign.ts";

/** A set of bytes: bit 0 is zero, bits 1 to 26 the letters, bit 31 anything else. */
export type Letters = number;
export const ALPHABET: Letters = 0x7ffffff;
export const FOREIGN: Letters = 1 << 31;
const FIRST_LETTER = 0x61;
const bitOf = Int32Array.from({ length: 256 }, (_, byte) => {
  if (byte === 0) return 1;
  return byte >= FIRST_LETTER && byte < FIRST_LETTER + 26 ? 2 << (byte - FIRST_LETTER) : FOREIGN;
});
export const lettersOf = (byte: number): Letters => bitOf[byte]!;

/** Returns the set of the bytes in a view. A view without memory has none. */
export function lettersIn(bytes: Uint8Array): Letters {
  let seen = 0;
  const length = byteLengthOf(bytes);
  for (let i = 0; i < length; i++) seen |= bitOf[bytes[i]!]!;
  return seen;
}

const byteLengthOf = (bytes: Uint8Array): number => byteLength.call(bytes);
const byteLength = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), "byteLength")!.get as (
  this: Uint8Array,
) => number;

/** Reports bytes that are not allowed. */
export function check(step: Step, what: string, bytes: Uint8Array, letters: Letters): void {
  const wrong = lettersIn(bytes) & ~letters;
  if (wrong === 0) return;
  const at = bytes.findIndex((byte) => (bitOf[byte]! & ~letters) !== 0);
  const { length } = bytes;
  const of = bytes[at] === CANARY ? "of recycled memory" : "of somebody else's";
  step.violation(`${what} has byte 0x${bytes[at]!.toString(16)} ${of}, at ${at} of ${length}`);
}

export interface UserMemory {
  /** The value that a function gets. */
  readonly data: NodeJS.ArrayBufferView | ArrayBufferLike | Blob;
  /** Its true length at the start, even if it gives another one. */
  readonly bytes: number;
  /** Its largest length at any time. */
  readonly bytesMax: number;
  /** The bytes that may be in it. */
  readonly letters: Letters;
  /** Whether another thread changes its length at any time. */
  readonly races?: boolean;
  /** Changes the memory. Called once, at any time. */
  change(): void;
  /** Returns its present bytes. They are empty if it has no memory any more. */
  now(): Uint8Array;
  /** Called when nobody uses the memory any more. */
  release?(): void;
}

/** The kind of value that a function accepts. */
export type Takes = "bytes" | "view" | "data";

type Make = (step: Step, bytes: number, own: Own) => UserMemory;

/** The letters of a memory. */
interface Own {
  first: number;
  second: number;
  letters: Letters;
}

const resizable = (bytes: number, most: number): ArrayBuffer => new ArrayBuffer(bytes, { maxByteLength: most });
const growable = (bytes: number, most: number): SharedArrayBuffer =>
  new SharedArrayBuffer(bytes, { maxByteLength: most });
const transfer = (buffer: ArrayBufferLike): void => void (buffer as ArrayBuffer).transfer();
const post = (buffer: ArrayBufferLike): void => void structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });

/** Returns the bytes of a view of any kind. */
function bytesOf(view: NodeJS.ArrayBufferView): Uint8Array {
  try {
    return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  } catch {
    return new Uint8Array(0); // A view without memory.
  }
}

function memoryOf(view: NodeJS.ArrayBufferView, bytes: number, { letters }: Own, change: () => void): UserMemory {
  return { data: view, bytes, bytesMax: bytes, letters, change, now: () => bytesOf(view) };
}

/**
 * A view that gives a wrong length, and returns other parts of its memory than the requested ones.
 */
class Lying extends Uint8Array {
  lie = 0;

  override get length(): number {
    return this.lie;
  }

  override get byteLength(): number {
    return this.lie;
  }

  override subarray(): Uint8Array<ArrayBuffer> {
    return this as Uint8Array<ArrayBuffer>;
  }
}

/** Memory that several operations use at once. Each uses a part of it. */
const shared = new Uint8Array(65_536).fill(FIRST_LETTER);

const WASM_PAGE_BYTES = 65_536;
const WASM_PAGES = 17;
const WASM_PAGES_MAX = 24;
/** WebAssembly memories, kept for reuse, because each of them reserves a range of addresses. */
const wasm: WebAssembly.Memory[] = [];

let grower: Worker | undefined;
/** Ends the Worker that grows shared memory. */
export function endGrower(): void {
  grower?.terminate();
}

const bytesKinds: Record<string, Make> = {
  "plain memory": (_, bytes, own) => {
    const view = new Uint8Array(bytes).fill(own.first);
    return memoryOf(view, bytes, own, () => void view.fill(own.second));
  },
  "a part of Buffer's pool": (_, bytes, own) => {
    const view = Buffer.allocUnsafe(bytes).fill(own.first);
    return memoryOf(view, bytes, own, () => void view.fill(own.second));
  },
  "memory that is transferred": (_, bytes, own) => {
    const view = new Uint8Array(bytes).fill(own.first);
    return memoryOf(view, bytes, own, () => transfer(view.buffer));
  },
  "memory that is posted": (_, bytes, own) => {
    const view = new Uint8Array(bytes).fill(own.first);
    return memoryOf(view, bytes, own, () => post(view.buffer));
  },
  "detached memory": (_, bytes, own) => {
    const view = new Uint8Array(bytes).fill(own.first);
    transfer(view.buffer);
    return memoryOf(view, 0, own, () => {});
  },
  "no bytes": (_, _bytes, own) => memoryOf(new Uint8Array(0), 0, own, () => {}),
  "resizable memory": (step, bytes, own) => {
    const most = bytes + 1 + step.below(100_000);
    const memory = resizable(bytes, most);
    const view = new Uint8Array(memory).fill(own.first);
    const to = step.oneIn(3) ? most : step.below(bytes + 1);
    return { ...memoryOf(view, bytes, own, () => memory.resize(to)), bytesMax: most };
  },
  "a fixed part of resizable memory": (step, bytes, own) => {
    const offset = step.below(1000);
    const memory = resizable(bytes + offset, bytes + offset + 10);
    const view = new Uint8Array(memory, offset, bytes).fill(own.first);
    const to = step.below(bytes + offset + 1);
    return memoryOf(view, bytes, own, () => memory.resize(to));
  },
  "resizable memory that is resized twice": (step, bytes, own) => {
    const memory = resizable(bytes, bytes + 1000);
    const view = new Uint8Array(memory).fill(own.first);
    const change = (): void => {
      memory.resize(step.oneIn(2) ? 0 : bytes >> 1);
      setImmediate(() => memory.resize(bytes));
    };
    return { ...memoryOf(view, bytes, own, change), bytesMax: bytes + 1000 };
  },
  "shared memory that grows": (step, bytes, own) => {
    const most = bytes + 1 + step.below(100_000);
    const memory = growable(bytes, most);
    const view = new Uint8Array(memory).fill(own.first);
    return { ...memoryOf(view, bytes, own, () => memory.grow(most)), bytesMax: most };
  },
  "shared memory that another thread makes grow": (step, bytes, own) => {
    const most = bytes + 64 * (1 + step.below(200));
    const memory = growable(bytes, most);
    const view = new Uint8Array(memory).fill(own.first);
    grower ??= new Worker(new URL("grower.ts", import.meta.url));
    grower.unref();
    grower.postMessage({ memory, bytes: most });
    return { ...memoryOf(view, bytes, own, () => {}), bytesMax: most, races: true };
  },
  "WebAssembly's memory that grows": (_, bytes, own) => {
    const memory = wasm.pop() ?? new WebAssembly.Memory({ initial: WASM_PAGES, maximum: WASM_PAGES_MAX });
    const fits = Math.min(bytes, WASM_PAGES * WASM_PAGE_BYTES - 64);
    const view = new Uint8Array(memory.buffer, 64, fits).fill(own.first);
    return {
      ...memoryOf(view, fits, own, () => void memory.grow(1)),
      release: () => void (memory.buffer.byteLength < WASM_PAGES_MAX * WASM_PAGE_BYTES && wasm.push(memory)),
    };
  },
  "a part of what others have": (step, bytes, own) => {
    const length = Math.min(bytes, shared.length);
    const offset = step.below(shared.length - length + 1);
    const view = shared.subarray(offset, offset + length);
    return { ...memoryOf(view, length, own, () => void view.fill(own.first)), letters: ALPHABET };
  },
  "a subclass that lies": (step, bytes, own) => {
    const buffer = new ArrayBuffer(bytes);
    const view = new Lying(buffer);
    new Uint8Array(buffer).fill(own.first);
    view.lie = step.pick([0, 1, bytes >> 1, bytes + 1, 2 * bytes + 1000, bytes + 100_000]);
    const now = (): Uint8Array => (buffer.byteLength === 0 ? new Uint8Array(0) : new Uint8Array(buffer));
    return { ...memoryOf(view, bytes, own, () => transfer(buffer)), now };
  },
  "a view with a length of its own": (step, bytes, own) => {
    const view = new Uint8Array(bytes).fill(own.first);
    const lie = step.pick([0, bytes >> 1, bytes + 1000, 2 * bytes]);
    for (const name of ["length", "byteLength"]) Object.defineProperty(view, name, { value: lie });
    const now = (): Uint8Array => new Uint8Array(view.buffer);
    return { ...memoryOf(view, bytes, own, () => void view.fill(own.second)), now };
  },
};

const viewKinds: Record<string, Make> = {
  "a DataView": (_, bytes, own) => {
    const view = new Uint8Array(bytes).fill(own.first);
    return memoryOf(new DataView(view.buffer), bytes, own, () => transfer(view.buffer));
  },
  "a DataView of resizable memory": (step, bytes, own) => {
    const memory = resizable(bytes, bytes + 1000);
    new Uint8Array(memory).fill(own.first);
    const isTracking = step.oneIn(2);
    const to = step.below(bytes + 1000);
    const view = isTracking ? new DataView(memory) : new DataView(memory, 0, bytes);
    return { ...memoryOf(view, bytes, own, () => memory.resize(to)), bytesMax: bytes + 1000 };
  },
  "a Float64Array of resizable memory": (step, bytes, own) => {
    const whole = bytes - (bytes % 8);
    const memory = resizable(whole, whole + 800);
    new Uint8Array(memory).fill(own.first);
    const to = step.below(whole + 800);
    const view = new Float64Array(memory as unknown as ArrayBuffer);
    return { ...memoryOf(view, whole, own, () => memory.resize(to)), bytesMax: whole + 800 };
  },
  "a Uint16Array": (_, bytes, own) => {
    const even = bytes - (bytes % 2);
    const view = new Uint16Array(even / 2);
    new Uint8Array(view.buffer).fill(own.first);
    return memoryOf(view, even, own, () => post(view.buffer));
  },
};

const buffers = (memory: ArrayBufferLike, bytes: number, most: number, own: Own, change: () => void): UserMemory => {
  new Uint8Array(memory).fill(own.first);
  const now = (): Uint8Array => (memory.byteLength === 0 ? new Uint8Array(0) : new Uint8Array(memory));
  return { data: memory, bytes, bytesMax: most, letters: own.letters, change, now };
};
const dataKinds: Record<string, Make> = {
  "an ArrayBuffer": (_, bytes, own) => {
    const memory = new ArrayBuffer(bytes);
    return buffers(memory, bytes, bytes, own, () => transfer(memory));
  },
  "a resizable ArrayBuffer": (step, bytes, own) => {
    const memory = resizable(bytes, bytes + 1000);
    const to = step.below(bytes + 1000);
    return buffers(memory, bytes, bytes + 1000, own, () => memory.resize(to));
  },
  "a SharedArrayBuffer that grows": (_, bytes, own) => {
    const memory = growable(bytes, bytes + 5000);
    return buffers(memory, bytes, bytes + 5000, own, () => memory.grow(bytes + 5000));
  },
  "a Blob of memory that changes": (_, bytes, own) => {
    const view = new Uint8Array(bytes).fill(own.first);
    const memory = memoryOf(view, bytes, own, () => void view.fill(own.second));
    return { ...memory, data: new Blob([view]) };
  },
};

const kindsOf: Record<Takes, [string, Make][]> = {
  bytes: Object.entries(bytesKinds),
  view: Object.entries({ ...bytesKinds, ...viewKinds }),
  data: Object.entries({ ...bytesKinds, ...viewKinds, ...dataKinds }),
};

/** Returns a random length: mostly small, rarely more than one piece of the arena's memory. */
export function randomSize(step: Step, most: number): number {
  const of = step.below(1000);
  const size =
    of < 700
      ? step.below(1500)
      : of < 930
        ? step.below(20_000)
        : of < 990
          ? step.below(150_000)
          : of < 997
            ? step.below(1_200_000)
            : step.below(2_600_000);
  return Math.min(size, most);
}

export function randomMemory(step: Step, takes: Takes, most: number): UserMemory {
  const [kind, make] = step.pick(kindsOf[takes]);
  const first = FIRST_LETTER + step.below(26);
  const second = FIRST_LETTER + step.below(26);
  const letters = 1 | lettersOf(first) | lettersOf(second);
  step.count("memory", kind);
  step.what += ` of ${kind}`;
  return make(step, randomSize(step, most), { first, second, letters });
}

/** The moments when memory can change, relative to the call that gets the memory. */
const moments: Record<string, (step: Step, change: () => void) => Promise<void> | void> = {
  "at once": (_, change) => change(),
  "after a microtask": (_, change) => Promise.resolve().then(change),
  "after some microtasks": async (step, change) => {
    for (let i = step.below(6); i >= 0; i--) await undefined;
    change();
  },
  "after an immediate": (_, change) => new Promise<void>((resolve) => setImmediate(resolve)).then(change),
  "after some immediates": async (step, change) => {
    for (let i = step.below(8); i >= 0; i--) await new Promise((resolve) => setImmediate(resolve));
    change();
  },
  "in a timer": (_, change) => new Promise<void>((resolve) => setTimeout(resolve, 1)).then(change),
};
const momentNames = Object.keys(moments);

/** Changes a memory at a random moment after a call. */
export class Changing {
  private readonly step: Step;
  private readonly memory: UserMemory;
  private changed: Promise<void> | undefined;

  constructor(step: Step, memory: UserMemory) {
    this.step = step;
    this.memory = memory;
  }

  /** Runs a call. The memory changes after the first one. */
  under<T>(call: () => T): T {
    const { step, memory } = this;
    if (this.changed !== undefined) return call();
    const name = step.pick(momentNames);
    step.count("changes", name);
    step.what += `, changed ${name}`;
    const result = step.attempt(() => ({ value: call() }));
    this.changed = Promise.resolve(moments[name]!(step, () => memory.change()));
    if (result === undefined) throw new Refused();
    return result.value;
  }

  /** Changes the memory before its use, for a description that is started afterwards. */
  now(): void {
    if (this.changed !== undefined) return;
    this.step.count("changes", "before it begins");
    this.step.what += ", changed before it begins";
    this.changed = Promise.resolve();
    this.memory.change();
  }

  /** Resolves after the change. Changes the memory if there was no call. */
  async end(): Promise<void> {
    await (this.changed ?? this.now());
    this.memory.release?.();
  }
}

/** Thrown when a call has thrown an allowed error, which has been counted. */
export class Refused extends Error {}
