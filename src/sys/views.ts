/**
 * A view's own length, and its bytes.
 *
 * Guarantees: a subclass that overrides `length` or `byteLength` changes nothing, and a view whose memory was detached, or has shrunk below it,
 * has 0 bytes. No question here throws for such a view.
 */
const prototypeOfTyped = Object.getPrototypeOf(Uint8Array.prototype) as object;
const getterOf = <T>(prototype: object, name: string | symbol): ((this: unknown) => T) =>
  Object.getOwnPropertyDescriptor(prototype, name)!.get as (this: unknown) => T;
const byteLengthOfTyped = getterOf<number>(prototypeOfTyped, "byteLength");
const byteLengthOfDataView = getterOf<number>(DataView.prototype, "byteLength");
/** Undefined for what is no typed array. */
const tagOfTyped = getterOf<string | undefined>(prototypeOfTyped, Symbol.toStringTag);
const NOTHING = new Uint8Array(0);

export function byteLengthOf(view: NodeJS.ArrayBufferView): number {
  if (view instanceof Uint8Array || tagOfTyped.call(view) !== undefined) return byteLengthOfTyped.call(view);
  try {
    return byteLengthOfDataView.call(view);
  } catch {
    return 0; // A DataView over memory that is gone throws.
  }
}

/** The view itself, if it is one of bytes. */
export function bytesOf(view: NodeJS.ArrayBufferView): Uint8Array {
  if (view instanceof Uint8Array) return view;
  const bytes = byteLengthOf(view);
  return bytes === 0 ? NOTHING : new Uint8Array(view.buffer, view.byteOffset, bytes);
}
