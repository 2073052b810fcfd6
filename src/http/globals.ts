/**
 * What changes in a program's globals when it serves on the ring: Response and ReadableStream remember what they were made of, and Request and
 * fetch take the ring's requests where native code would insist on its own.
 *
 * Guarantees: what the constructors make is native; `instanceof` holds for both; done once for each thread, by the first `serve` or by the
 * preload.
 */
import { TrackedReadableStream } from "./body-iterable.ts";
import { NativeReadableStream, NativeRequest, NativeResponse, nativeFetch, toNative } from "./native-globals.ts";
import { rememberingMethods, TrackedResponse } from "./tracked-response.ts";

class UnwrappingRequest extends NativeRequest {
  constructor(input: Request | string | URL, init?: RequestInit) {
    super(unwrap(input) as string, init);
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    // A program's own subclasses ask for themselves.
    if (this !== UnwrappingRequest) return Function.prototype[Symbol.hasInstance].call(this, value);
    return value instanceof NativeRequest;
  }
}

Object.defineProperty(UnwrappingRequest, "name", { value: "Request", configurable: true });

/** Knows the ring's requests by their method: the preload loads this file, and request.ts only with the first server. */
function unwrap(input: any): unknown {
  return typeof input?.[toNative] === "function" ? input[toNative]() : input;
}

function unwrappingFetch(input: Request | string | URL, init?: RequestInit): Promise<Response> {
  return nativeFetch(unwrap(input) as string, init);
}

/** Puts them in place, once for each thread. */
export function installGlobals(): void {
  if (globalThis.Response !== NativeResponse) return;
  globalThis.Response = TrackedResponse;
  NativeResponse.prototype.constructor = TrackedResponse;
  Object.assign(NativeResponse.prototype, rememberingMethods);
  globalThis.ReadableStream = TrackedReadableStream;
  NativeReadableStream.prototype.constructor = TrackedReadableStream;
  globalThis.Request = UnwrappingRequest as unknown as typeof Request;
  globalThis.fetch = Object.defineProperties(
    unwrappingFetch,
    Object.getOwnPropertyDescriptors(nativeFetch),
  ) as typeof fetch;
}
