/**
 * What changes in a program's globals when it serves on the ring: Response and ReadableStream remember what they were made of, and Request and
 * fetch take the ring's requests where native code would insist on its own.
 *
 * Guarantees: what the constructors make is native; `instanceof` holds for both; done once for each thread, by the first `serve` or by the
 * preload.
 */
import { TrackedReadableStream } from "./body-iterable.ts";
import { NativeReadableStream, NativeRequest, NativeResponse, nativeFetch } from "./native-globals.ts";
import { adoptNativeRequests, RingRequest } from "./request.ts";
import { rememberingMethods, TrackedResponse, unremembered } from "./tracked-response.ts";

/** The global constructor. What it makes is native. */
const UnwrappingRequest = function (this: unknown, ...args: unknown[]): Request {
  const Class = new.target as Function | undefined;
  // The native constructor says what is wrong.
  if (Class === undefined) return (NativeRequest as unknown as () => Request)();
  for (let i = 0; i < args.length; i++) args[i] = unremembered(RingRequest.unwrap(args[i]));
  return Reflect.construct(NativeRequest, args, Class === UnwrappingRequest ? NativeRequest : Class) as Request;
};

Object.defineProperties(UnwrappingRequest, {
  ...Object.getOwnPropertyDescriptors(NativeRequest),
  prototype: { value: RingRequest.prototype, writable: false },
});

function unwrappingFetch(input: Request | string | URL, init?: RequestInit): Promise<Response> {
  return nativeFetch(RingRequest.unwrap(input) as string, RingRequest.unwrap(init) as RequestInit);
}

/** Puts them in place, once for each thread. */
export function installGlobals(): void {
  if (globalThis.Response !== NativeResponse) return;
  globalThis.Response = TrackedResponse;
  NativeResponse.prototype.constructor = TrackedResponse;
  Object.assign(NativeResponse.prototype, rememberingMethods);
  globalThis.ReadableStream = TrackedReadableStream;
  NativeReadableStream.prototype.constructor = TrackedReadableStream;
  adoptNativeRequests();
  globalThis.Request = UnwrappingRequest as unknown as typeof Request;
  NativeRequest.prototype.constructor = RingRequest.prototype.constructor = UnwrappingRequest;
  globalThis.fetch = Object.defineProperties(
    unwrappingFetch,
    Object.getOwnPropertyDescriptors(nativeFetch),
  ) as typeof fetch;
}
