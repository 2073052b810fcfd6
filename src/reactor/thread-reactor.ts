/**
 * Where the reactor of a thread is kept: under a registered symbol, so that reloaded modules and a
 * second copy of the package share it.
 */
import type { Reactor } from "./reactor.ts";

/**
 * The symbol changes with the interface of a reactor, so that two incompatible copies do not share
 * one.
 */
const key = Symbol.for("ringloop.reactor.4");
const holder = globalThis as { [key]?: Reactor };

/** Returns the thread's reactor, or undefined before its first use. */
export function threadReactor(): Reactor | undefined {
  return holder[key];
}

export function setThreadReactor(reactor: Reactor): void {
  holder[key] = reactor;
}
