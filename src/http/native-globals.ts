/** The constructors and functions of Bun that globals.ts puts others in front of, as they were before. */
interface Native {
  Response: typeof Response;
  Request: typeof Request;
  ReadableStream: typeof ReadableStream;
  fetch: typeof fetch;
}

const key = Symbol.for("ringloop.nativeGlobals");
const holder = globalThis as { [key]?: Native };
const { Response, Request, ReadableStream, fetch } = globalThis;

/** Kept for a second copy of the package, which must not take the first one's for native. */
const native: Native = (holder[key] ??= { Response, Request, ReadableStream, fetch });

export const NativeResponse = native.Response;
export const NativeRequest = native.Request;
export const NativeReadableStream = native.ReadableStream;
export const nativeFetch = native.fetch;
