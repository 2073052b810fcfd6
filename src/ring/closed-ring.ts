/**
 * What a closed ring answers: EBADF, whichever of its members is used.
 *
 * Guarantees: an open ring pays nothing for it, and closing one little. A ring that is closed gets
 * another prototype, in which every member that would reach the kernel or the queues throws. Members
 * that are added later are among them.
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
  return new Proxy(Object.create(ring) as object, {
    get(target, name, closed) {
      const owner = kept.has(name) ? Object.prototype : ownerOf(name, ring);
      if (owner === Object.prototype) return Reflect.get(target, name, closed) as unknown;
      const refuse = (): never => {
        throw new SystemError(EBADF, entering.includes(owner) ? "io_uring_enter" : "io_uring_register");
      };
      const isMethod = "value" in Object.getOwnPropertyDescriptor(owner, name)!;
      return isMethod ? refuse : refuse();
    },
  });
}

/** Returns the prototype that has a member of this name; Object's own for none. */
function ownerOf(name: PropertyKey, prototype: object): object {
  if (prototype === Object.prototype || Object.hasOwn(prototype, name)) return prototype;
  return ownerOf(name, Object.getPrototypeOf(prototype) as object);
}
