/**
 * The real length and bytes of a view.
 *
 * Guarantees: a subclass or a property that overrides `length` or `byteLength` changes nothing. A
 * view has 0 bytes if its memory was detached, or has shrunk below the view. No function here
 * throws for such a view.
 */
const prototypeOfTyped = Object.getPrototypeOf(Uint8Array.prototype) as object;
const getterOf = <T>(prototype: object, name: string | symbol): ((this: unknown) => T) =>
  Object.getOwnPropertyDescriptor(prototype, name)!.get as (this: unknown) => T;
const byteLengthOfTyped = getterOf<number>(prototypeOfTyped, "byteLength");
const byteOffsetOfTyped = getterOf<number>(prototypeOfTyped, "byteOffset");
const bufferOfTyped = getterOf<ArrayBufferLike>(prototypeOfTyped, "buffer");
const byteLengthOfDataView = getterOf<number>(DataView.prototype, "byteLength");
const byteOffsetOfDataView = getterOf<number>(DataView.prototype, "byteOffset");
const bufferOfDataView = getterOf<ArrayBufferLike>(DataView.prototype, "buffer");
/** Returns undefined for a value that is no typed array. */
const tagOfTyped = getterOf<string | undefined>(prototypeOfTyped, Symbol.toStringTag);
const NOTHING = new Uint8Array(0);

export function byteLengthOf(view: NodeJS.ArrayBufferView): number {
  if (view instanceof Uint8Array || tagOfTyped.call(view) !== undefined) return byteLengthOfTyped.call(view);
  try {
    return byteLengthOfDataView.call(view);
  } catch {
    return 0; // A DataView over detached memory throws.
  }
}

/**
 * Returns the view itself if it is a Uint8Array. The result is for `copyBytes`, which does not
 * trust the view's `length`.
 */
export function bytesOf(view: NodeJS.ArrayBufferView): Uint8Array {
  return view instanceof Uint8Array ? view : plainBytesOf(view);
}

/**
 * Returns the bytes of a view or a buffer, as a view whose `length` is true; undefined for any
 * other value. The result is the view itself if the view has Buffer's or Uint8Array's own prototype
 * and `length`.
 */
export function plainBytes(data: unknown): Uint8Array | undefined {
  if (ArrayBuffer.isView(data)) {
    const prototype = Object.getPrototypeOf(data) as unknown;
    const isPlain =
      (prototype === Buffer.prototype || prototype === Uint8Array.prototype) && !Object.hasOwn(data, "length");
    return isPlain && (data as Uint8Array).length > 0
      ? (data as Uint8Array)
      : plainBytesOf(data as NodeJS.ArrayBufferView);
  }
  if (!(data instanceof ArrayBuffer || data instanceof SharedArrayBuffer)) return undefined;
  return data.byteLength === 0 ? NOTHING : new Uint8Array(data);
}

/** Returns a new view of the same bytes. */
function plainBytesOf(view: NodeJS.ArrayBufferView): Uint8Array {
  const bytes = byteLengthOf(view);
  if (bytes === 0) return NOTHING;
  if (tagOfTyped.call(view) !== undefined)
    return new Uint8Array(bufferOfTyped.call(view), byteOffsetOfTyped.call(view), bytes);
  return new Uint8Array(bufferOfDataView.call(view), byteOffsetOfDataView.call(view), bytes);
}

/**
 * Buffer's own method, whatever a subclass has in its place. It uses the present place of the
 * memory, and returns how many bytes it has copied.
 */
const { copy } = Buffer.prototype;

/**
 * Copies `count` bytes, from offset `from` on, to `target` at `at`. Returns how many bytes it has
 * copied. The other bytes in `target` keep their former content, perhaps another owner's, and must
 * not be handed on.
 */
export function copyBytes(bytes: Uint8Array, from: number, count: number, target: Buffer, at: number): number {
  return from < byteLengthOfTyped.call(bytes) ? copy.call(bytes as Buffer, target, at, from, from + count) : 0;
}

/**
 * Copies as `copyBytes` does, for bytes that must exist. Throws an Error for a view that does not
 * have them.
 */
export function copyAll(bytes: Uint8Array, from: number, count: number, target: Buffer, at: number): void {
  if (copyBytes(bytes, from, count, target, at) !== count)
    throw new Error(`a view of ${byteLengthOf(bytes)} bytes has no ${count} from ${from} on`);
}
