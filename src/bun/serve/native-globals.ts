/**
 * Bun's constructors and functions that globals.ts replaces, as they were before the replacement.
 */
interface Native {
  Response: typeof Response;
  Request: typeof Request;
  ReadableStream: typeof ReadableStream;
  fetch: typeof fetch;
  /**
   * Whether accessors of globals-at-first-use.ts have replaced the globals, and globals.ts has not
   * run yet.
   */
  awaited: boolean;
}

const key = Symbol.for("ringloop.nativeGlobals");
const holder = globalThis as { [key]?: Native };

function current(): Native {
  const { Response, Request, ReadableStream, fetch } = globalThis;
  return { Response, Request, ReadableStream, fetch, awaited: false };
}

/**
 * The native values. A second copy of the package finds them here. Without this, it would regard
 * the replacements of the first copy as native.
 */
const native: Native = (holder[key] ??= current());

/** State that all copies of the package in one thread share. */
export const globalsState: Pick<Native, "awaited"> = native;
export const NativeResponse = native.Response;
export const NativeRequest = native.Request;
export const NativeReadableStream = native.ReadableStream;
export const nativeFetch = native.fetch;
/** The function that a program may replace later. Native code does not use the replacement. */
export const { stringify } = JSON;
