/**
 * Async contexts (AsyncLocalStorage of node:async_hooks), and which context a function of the
 * program runs in.
 *
 * The rules are Bun's. If the program hands over a function inside a context, as a handler to
 * `serve`, the function runs in that context. If the program hands it over outside of every
 * context, the function runs in no context when the event loop calls it. When a call of the program
 * leads to it, it runs in the caller's context. A context that a handler enters (`enterWith`) ends
 * with the handler; later code does not see it.
 *
 * Guarantees: nothing is installed in the program's globals. Promises get no slower in a program
 * without AsyncLocalStorage.
 */
import { AsyncLocalStorage } from "node:async_hooks";

const { setTimeout, clearTimeout } = globalThis; // Tests replace the globals.

/**
 * Calls a function with the arguments in the context that this value stands for, and restores the
 * caller's context.
 */
export type AsyncContext = <Args extends unknown[], Result>(fn: (...args: Args) => Result, ...args: Args) => Result;

/**
 * Returns the context of the caller. After `currentContext()(fn, ...)`, no context that `fn` enters
 * is left.
 */
export const currentContext: () => AsyncContext = AsyncLocalStorage.snapshot;

/** No context. The ring's own work runs in it. */
export let outside: AsyncContext = currentContext();
let isOutsideKnown = isOutside();

/**
 * Returns the function that the ring keeps for a function of the program. It runs in the present
 * context, if there is one.
 */
export function inCurrentContext<Fn extends Function | undefined>(fn: Fn): Fn {
  if (fn === undefined) return fn;
  if (isOutside()) {
    // A program may `require` this module inside a context.
    if (!isOutsideKnown) outside = currentContext();
    isOutsideKnown = true;
    return fn;
  }
  const context = currentContext();
  return function (this: unknown, ...args: unknown[]): unknown {
    return context(Reflect.apply, fn, this, args);
  } as unknown as Fn;
}

/**
 * Whether there is no context now. Bun has no function for this. But Bun wraps a function that it
 * calls later, unless there is no context, and a timer shows the function that it keeps. If a Bun
 * hides that, the result is false, and every function keeps the context in which it was handed
 * over.
 */
function isOutside(): boolean {
  const timer = setTimeout(ignore, 0x7fffffff);
  clearTimeout(timer);
  return Reflect.get(timer, "_onTimeout") === ignore;
}

function ignore(): void {}
