/** The constructors and functions of Bun that globals.ts puts others in front of, as they were before. */
interface Native {
  Response: typeof Response;
  Request: typeof Request;
  ReadableStream: typeof ReadableStream;
  fetch: typeof fetch;
  /** Accessors of globals-at-first-use.ts stand in their place, and globals.ts is to follow. */
  awaited: boolean;
}

const key = Symbol.for("ringloop.nativeGlobals");
const holder = globalThis as { [key]?: Native };

function current(): Native {
  const { Response, Request, ReadableStream, fetch } = globalThis;
  return { Response, Request, ReadableStream, fetch, awaited: false };
}

/** Kept for a second copy of the package, which must not take the first one's for native. */
const native: Native = (holder[key] ??= current());

/** Shared by the copies of the package in one thread. */
export const globalsState: Pick<Native, "awaited"> = native;
export const NativeResponse = native.Response;
export const NativeRequest = native.Request;
export const NativeReadableStream = native.ReadableStream;
export const nativeFetch = native.fetch;
