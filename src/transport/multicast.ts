/**
 * Options of datagram sockets for time to live and multicast groups: ip(7) and ipv6(7). All
 * functions throw SystemError for an error of the kernel.
 */
import {
  AF_INET,
  AF_INET6,
  IP_ADD_MEMBERSHIP,
  IP_ADD_SOURCE_MEMBERSHIP,
  IP_DROP_MEMBERSHIP,
  IP_DROP_SOURCE_MEMBERSHIP,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IP_TTL,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_JOIN_GROUP,
  IPV6_LEAVE_GROUP,
  IPV6_MULTICAST_HOPS,
  IPV6_MULTICAST_IF,
  IPV6_MULTICAST_LOOP,
  IPV6_UNICAST_HOPS,
} from "../sys/socket-abi.ts";
import { invalidOption } from "../sys/check.ts";
import { check } from "../sys/errno.ts";
import { native, pointerTo } from "../sys/library.ts";
import { encodeAddress, familyOf } from "./address.ts";

function setNumber(fd: number, family: number, v4: number, v6: number, value: number): void {
  const [level, name] = family === AF_INET6 ? [IPPROTO_IPV6, v6] : [IPPROTO_IP, v4];
  check(native().rl_setsockopt(fd, level, name, value), "setsockopt");
}

function setBytes(fd: number, level: number, name: number, value: Uint8Array): void {
  check(native().rl_setsockopt_bytes(fd, level, name, pointerTo(value), value.length), "setsockopt");
}

function requireTtl(ttl: number, min: number): number {
  if (Number.isInteger(ttl) && ttl >= min && ttl <= 255) return ttl;
  throw invalidOption("ttl", "number", `an integer from ${min} to 255`, ttl);
}

/** Returns a numeric address as a sockaddr. Throws a TypeError that names the argument. */
function requireAddress(name: string, address: string, family?: number): Uint8Array {
  if (typeof address === "string" && /^[\d.]+$|:/.test(address)) {
    try {
      const encoded = encodeAddress(address, 0);
      if (family === undefined || familyOf(encoded) === family) return encoded;
    } catch {
      // The throw below reports it.
    }
  }
  const kind = family === undefined ? "numeric" : family === AF_INET ? "numeric IPv4" : "numeric IPv6";
  throw invalidOption(name, "string", `a ${kind} address`, address);
}

/** Returns the four bytes of in_addr. Without an address they mean any interface. */
function inAddress(name: string, address: string | undefined): Uint8Array {
  return address === undefined ? new Uint8Array(4) : requireAddress(name, address, AF_INET).subarray(4, 8);
}

/**
 * Returns the index of the interface that follows the % of an IPv6 address, as in "fe80::1%2".
 * Without one the kernel chooses.
 */
function interfaceIndex(name: string, address: string | undefined): Uint8Array {
  return address === undefined ? new Uint8Array(4) : requireAddress(name, address, AF_INET6).subarray(24, 28);
}

export function setTTL(fd: number, family: number, ttl: number): number {
  setNumber(fd, family, IP_TTL, IPV6_UNICAST_HOPS, requireTtl(ttl, 1));
  return ttl;
}

export function setMulticastTTL(fd: number, family: number, ttl: number): number {
  setNumber(fd, family, IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS, requireTtl(ttl, 0));
  return ttl;
}

export function setMulticastLoopback(fd: number, family: number, enabled: boolean): boolean {
  setNumber(fd, family, IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP, enabled ? 1 : 0);
  return enabled;
}

export function setMulticastInterface(fd: number, family: number, address: string): boolean {
  if (family === AF_INET6) setBytes(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, interfaceIndex("interfaceAddress", address));
  else setBytes(fd, IPPROTO_IP, IP_MULTICAST_IF, inAddress("interfaceAddress", address));
  return true;
}

/**
 * Joins or leaves a group. struct ip_mreq { group, interface }, struct ipv6_mreq { group, interface
 * index }.
 */
export function changeMembership(fd: number, join: boolean, group: string, interfaceAddress?: string): boolean {
  const address = requireAddress("multicastAddress", group);
  if (familyOf(address) === AF_INET) {
    const request = Buffer.concat([address.subarray(4, 8), inAddress("interfaceAddress", interfaceAddress)]);
    setBytes(fd, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, request);
  } else {
    const request = Buffer.concat([address.subarray(8, 24), interfaceIndex("interfaceAddress", interfaceAddress)]);
    setBytes(fd, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, request);
  }
  return true;
}

/**
 * Joins or leaves one source of a group. IPv4 only. struct ip_mreq_source { group, interface,
 * source }.
 */
export function changeSourceMembership(
  fd: number,
  join: boolean,
  source: string,
  group: string,
  interfaceAddress?: string,
): boolean {
  const parts = [
    requireAddress("groupAddress", group, AF_INET).subarray(4, 8),
    inAddress("interfaceAddress", interfaceAddress),
    requireAddress("sourceAddress", source, AF_INET).subarray(4, 8),
  ];
  setBytes(fd, IPPROTO_IP, join ? IP_ADD_SOURCE_MEMBERSHIP : IP_DROP_SOURCE_MEMBERSHIP, Buffer.concat(parts));
  return true;
}
