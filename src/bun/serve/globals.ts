/**
 * What changes in a program's globals when it serves on the ring: Response and ReadableStream remember what they were made of, and Request and
 * fetch take the ring's requests where native code would insist on its own.
 *
 * Guarantees: what the constructors make is native; `instanceof` holds for both; done once for each thread, by the first `serve` or by the
 * preload.
 */
import { TrackedReadableStream } from "./body-iterable.ts";
import { globalsState, NativeReadableStream, NativeRequest, NativeResponse, nativeFetch } from "./native-globals.ts";
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

/** Puts them in place, once for each thread. A global that the program has replaced itself stays the program's. */
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
}

/** `native`: the value that is replaced, as the preload's accessor is. */
function replace(name: string, native: unknown, value: unknown): void {
  const { enumerable, get, value: present } = Object.getOwnPropertyDescriptor(globalThis, name)!;
  if (get === undefined && present !== native) return;
  Object.defineProperty(globalThis, name, { value, writable: true, enumerable, configurable: true });
}
