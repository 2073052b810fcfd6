/** A socket's type of service (ip(7)) or traffic class (ipv6(7)). Both are the same field. */
import { shown, withCode } from "../../sys/check.ts";
import { IP_TOS, IPPROTO_IP, IPPROTO_IPV6, IPV6_TCLASS } from "../../sys/socket-abi.ts";
import { native } from "../../sys/library.ts";

type Family = "IPv4" | "IPv6";

const optionOf = (family: Family): [level: number, name: number] =>
  family === "IPv6" ? [IPPROTO_IPV6, IPV6_TCLASS] : [IPPROTO_IP, IP_TOS];

/** Returns the value, or a negative errno. */
export function readTypeOfService(fd: number, family: Family): number {
  const [level, name] = optionOf(family);
  return native().rl_getsockopt(fd, level, name);
}

/** Sets the value. Returns 0, or a negative errno. */
export function writeTypeOfService(fd: number, family: Family, value: number): number {
  const [level, name] = optionOf(family);
  return native().rl_setsockopt(fd, level, name, value);
}

/**
 * Checks a value. Undefined counts as 0. Throws Bun's error for any value that is not an integer
 * from 0 to 255.
 */
export function requireTypeOfService(tos: unknown): number {
  if (tos === undefined) return 0;
  if (typeof tos !== "number" || !Number.isInteger(tos)) {
    const type = typeof tos === "number" ? "integer" : "number";
    const message = `The "tos" property must be of type ${type}. Received ${shown(tos)}`;
    throw withCode("ERR_INVALID_ARG_TYPE", new TypeError(message));
  }
  if (tos >= 0 && tos <= 255) return tos;
  const message = `The value of "tos" is out of range. It must be >= 0 and <= 255. Received ${tos}`;
  throw withCode("ERR_OUT_OF_RANGE", new RangeError(message));
}
