/**
 * The preload's part of globals.ts: the globals are replaced when the program first asks for one of them. A process that uses none loads
 * neither this package's classes nor what they are made of.
 */
import { globalsState, NativeResponse } from "./native-globals.ts";

function installAtUseOf(name: "Response" | "Request" | "ReadableStream" | "fetch", install: () => void): void {
  const { enumerable } = Object.getOwnPropertyDescriptor(globalThis, name)!;
  const get = (): unknown => {
    install();
    return globalThis[name];
  };
  // What a program puts there itself comes after this package's, and stays.
  const set = (value: unknown): void => {
    install();
    globalThis[name] = value as never;
  };
  Object.defineProperty(globalThis, name, { get, set, enumerable, configurable: true });
}

/** Once for each thread; nothing when `serve` has been called already. `install`: installGlobals. */
export function installGlobalsAtFirstUse(install: () => void): void {
  if (globalsState.awaited || globalThis.Response !== NativeResponse) return;
  globalsState.awaited = true;
  installAtUseOf("Response", install);
  installAtUseOf("Request", install);
  installAtUseOf("ReadableStream", install);
  installAtUseOf("fetch", install);
}
