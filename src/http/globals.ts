/**
 * What changes in a program's globals when it serves on the ring: Response and ReadableStream remember what they were made of, and Request and
 * fetch take the ring's requests where native code would insist on its own.
 *
 * Guarantees: what the constructors make is native; `instanceof` holds for both; done once for each thread, by the first `serve` or by the
 * preload.
 */
import { TrackedReadableStream } from "./body-iterable.ts";
import { NativeReadableStream, NativeRequest, NativeResponse, nativeFetch } from "./native-globals.ts";
import { RingRequest } from "./request.ts";
import { rememberingMethods, TrackedResponse } from "./tracked-response.ts";

/** The global constructor. What it makes is native, with the prototype that the ring's requests have, too. */
const UnwrappingRequest = function (this: unknown, ...args: unknown[]): Request {
  const Class = new.target as Function | undefined;
  // The native constructor says what is wrong.
  if (Class === undefined) return (NativeRequest as unknown as () => Request)();
  for (let i = 0; i < args.length; i++) args[i] = RingRequest.unwrap(args[i]);
  return Reflect.construct(NativeRequest, args, Class) as Request;
};

function hasInstance(this: Function, value: unknown): boolean {
  // A program's own subclasses ask for themselves.
  if (this !== UnwrappingRequest) return Function.prototype[Symbol.hasInstance].call(this, value);
  return value instanceof NativeRequest;
}

Object.defineProperties(UnwrappingRequest, {
  ...Object.getOwnPropertyDescriptors(NativeRequest),
  prototype: { value: RingRequest.prototype, writable: false },
  [Symbol.hasInstance]: { value: hasInstance },
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
  globalThis.Request = UnwrappingRequest as unknown as typeof Request;
  NativeRequest.prototype.constructor = RingRequest.prototype.constructor = UnwrappingRequest;
  globalThis.fetch = Object.defineProperties(
    unwrappingFetch,
    Object.getOwnPropertyDescriptors(nativeFetch),
  ) as typeof fetch;
}
