/**
 * The preload's part of globals.ts: replaces the globals when the program first uses one of them. A
 * process that uses none of them loads neither this package's classes nor the modules behind these.
 */
import { globalsState, NativeResponse } from "./native-globals.ts";

function installAtUseOf(name: "Response" | "Request" | "ReadableStream" | "fetch", install: () => void): void {
  const { enumerable } = Object.getOwnPropertyDescriptor(globalThis, name)!;
  const get = (): unknown => {
    install();
    return globalThis[name];
  };
  // A value that the program sets comes after this package's value, and stays.
  const set = (value: unknown): void => {
    install();
    globalThis[name] = value as never;
  };
  Object.defineProperty(globalThis, name, { get, set, enumerable, configurable: true });
}

/**
 * Prepares the replacement, once for each thread. Does nothing if `serve` was called already.
 * `install` is installGlobals.
 */
export function installGlobalsAtFirstUse(install: () => void): void {
  if (globalsState.awaited || globalThis.Response !== NativeResponse) return;
  globalsState.awaited = true;
  installAtUseOf("Response", install);
  installAtUseOf("Request", install);
  installAtUseOf("ReadableStream", install);
  installAtUseOf("fetch", install);
}
