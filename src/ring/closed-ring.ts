/**
 * What a closed ring answers: EBADF, whichever of its members is used.
 *
 * Guarantees: an open ring pays nothing for it. A ring that is closed gets another prototype, in
 * which every member that would reach the kernel or the queues throws. Members that are added later
 * are among them.
 */
import { EBADF, SystemError } from "../sys/errno.ts";

/** Members that a closed ring still has. `enter` returns -EBADF, since its descriptor is -1. */
const kept: ReadonlySet<PropertyKey> = new Set<PropertyKey>([
  ...["constructor", "close", "queueExit", Symbol.dispose],
  ...["sqEntries", "cqEntries", "unpublished", "enter"],
]);

/**
 * Returns the prototype of closed rings. `ring` is that of open ones. Members of the prototypes in
 * `entering` throw with the system call io_uring_enter, others with io_uring_register.
 */
export function closedPrototypeOf(ring: object, entering: readonly object[]): object {
  const closed = Object.create(ring) as object;
  let owner = ring;
  while (owner !== Object.prototype) {
    const syscall = entering.includes(owner) ? "io_uring_enter" : "io_uring_register";
    const refuse = (): never => {
      throw new SystemError(EBADF, syscall);
    };
    for (const name of Reflect.ownKeys(owner)) {
      if (kept.has(name) || Object.hasOwn(closed, name)) continue;
      const isMethod = "value" in Object.getOwnPropertyDescriptor(owner, name)!;
      Object.defineProperty(closed, name, isMethod ? { value: refuse } : { get: refuse });
    }
    owner = Object.getPrototypeOf(owner) as object;
  }
  return closed;
}
