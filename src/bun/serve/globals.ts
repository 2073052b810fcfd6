/**
 * Replaces some of a program's globals when it serves on the ring. Response and ReadableStream
 * remember the values that they were made of. Request, fetch, Bun.write and Blob's `write` accept the
 * ring's requests, where native code would accept only its own.
 *
 * Guarantees: the constructors make native objects, and `instanceof` works for native objects and
 * for the ring's. The replacement happens once for each thread, by the first `serve` or by the
 * preload.
 */
import { TrackedReadableStream } from "./body-iterable.ts";
import { globalsState, NativeReadableStream, NativeRequest, NativeResponse, nativeFetch } from "./native-globals.ts";
import { adoptNativeRequests, RingRequest } from "./request.ts";
import { rememberingMethods, TrackedResponse, unremembered } from "./tracked-response.ts";

/** The global constructor Request. It makes native objects. */
const UnwrappingRequest = function (this: unknown, ...args: unknown[]): Request {
  const Class = new.target as Function | undefined;
  // The native constructor throws the right error.
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

/** Replaces a function that writes a value: its argument number `at` may be a request of the ring. */
function unwrapWritten(holder: object, at: number): void {
  const { write } = holder as { write: (...args: unknown[]) => unknown };
  const unwrapping = function (this: unknown, ...args: unknown[]): unknown {
    if (args.length > at) args[at] = RingRequest.unwrap(args[at]);
    return Reflect.apply(write, this, args);
  };
  Object.assign(holder, { write: Object.defineProperties(unwrapping, Object.getOwnPropertyDescriptors(write)) });
}

/**
 * Replaces the globals, once for each thread. A global that the program has replaced itself stays
 * as it is.
 */
export function installGlobals(): void {
  if (!globalsState.awaited && globalThis.Response !== NativeResponse) return;
  globalsState.awaited = false;
  NativeResponse.prototype.constructor = TrackedResponse;
  Object.assign(NativeResponse.prototype, rememberingMethods);
  NativeReadableStream.prototype.constructor = TrackedReadableStream;
  adoptNativeRequests();
  NativeRequest.prototype.constructor = RingRequest.prototype.constructor = UnwrappingRequest;
  replace("Response", NativeResponse, TrackedResponse);
  replace("Request", NativeRequest, UnwrappingRequest);
  replace("ReadableStream", NativeReadableStream, TrackedReadableStream);
  replace(
    "fetch",
    nativeFetch,
    Object.defineProperties(unwrappingFetch, Object.getOwnPropertyDescriptors(nativeFetch)),
  );
  unwrapWritten(Bun, 1);
  unwrapWritten(Blob.prototype, 0);
}

/** Replaces a global whose present value is `native`, or an accessor of the preload. */
function replace(name: string, native: unknown, value: unknown): void {
  const { enumerable, get, value: present } = Object.getOwnPropertyDescriptor(globalThis, name)!;
  if (get === undefined && present !== native) return;
  Object.defineProperty(globalThis, name, { value, writable: true, enumerable, configurable: true });
}
