/**
 * Async contexts (AsyncLocalStorage of node:async_hooks): in which of them the functions of a program run.
 *
 * The rules are Bun's. A function that is handed over inside a context, as a handler is to `serve`, runs in that context. One that is handed
 * over outside of every context runs in none when the event loop calls it, and in the caller's when a call of the program leads to it. What
 * a handler enters (`enterWith`) ends with the handler: nobody after it sees it.
 *
 * Guarantees: nothing is installed in the program's globals, and promises get no slower in a program that has no AsyncLocalStorage.
 */
import { AsyncLocalStorage } from "node:async_hooks";

const { setTimeout, clearTimeout } = globalThis; // Tests put others in their place.

/** Calls a function with these arguments in the context that it stands for, and restores the one that was current. */
export type AsyncContext = <Args extends unknown[], Result>(fn: (...args: Args) => Result, ...args: Args) => Result;

/** The context of the caller. `currentContext()(fn, ...)` calls a function of the program so that nothing is left of what that one enters. */
export const currentContext: () => AsyncContext = AsyncLocalStorage.snapshot;

/** No context: the ring's own work. */
export let outside: AsyncContext = currentContext();
let isOutsideKnown = isOutside();

/** What the ring keeps of a function that a program hands over: it runs in the present context, if there is one. */
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
 * Whether there is no context now. Bun does not tell; but what Bun is to call later it wraps unless there is none, and a timer shows what it
 * holds. Should a Bun hide that, the answer is no, and every function is tied to where it was handed over.
 */
function isOutside(): boolean {
  const timer = setTimeout(ignore, 0x7fffffff);
  clearTimeout(timer);
  return Reflect.get(timer, "_onTimeout") === ignore;
}

function ignore(): void {}
