/** Features of the kernel: names of its feature bits, and trials of single features. */
import * as abi from "../sys/abi.ts";
import { invalidType } from "../sys/check.ts";
import { check, EINVAL, SystemError } from "../sys/errno.ts";
import { native, pointerTo } from "../sys/library.ts";
import { MSG_DONTWAIT } from "../sys/linux.ts";
import { AF_INET, SOCK_STREAM } from "../sys/socket-abi.ts";
import { BufferRing } from "./buffer-ring.ts";
import type { Probe } from "./probe.ts";
import { Ring } from "./ring.ts";

function namesOf(prefix: string, bits: number): string[] {
  return Object.entries(abi)
    .filter(([name, value]) => name.startsWith(prefix) && typeof value === "number" && (bits & value) !== 0)
    .map(([name]) => name.slice(prefix.length).toLowerCase());
}

/**
 * Returns a ring's setup flags and its kernel's feature bits. The names are in lower case and have
 * no prefix.
 */
export function featureNames(ring: Ring): { setup: string[]; features: string[] } {
  if (!(ring instanceof Ring)) throw invalidType("ring", "a Ring", ring);
  return { setup: namesOf("IORING_SETUP_", ring.flags), features: namesOf("IORING_FEAT_", ring.features) };
}

/**
 * io_uring_get_probe(3). Asks a temporary ring which operations the kernel has. Throws SystemError
 * without io_uring.
 */
export function getProbe(): Probe {
  using ring = Ring.queueInit(2);
  return ring.getProbe();
}

export interface Features {
  /**
   * The ring waits for sockets that are not ready without a separate poll (Linux 5.7). Required.
   */
  fastPoll: boolean;
  sqpoll: boolean;
  /** Linux 6.1. */
  deferTaskrun: boolean;
  /** Linux 5.19. Required. */
  providedBufferRing: boolean;
  /** Linux 5.19. Required. */
  multishotAccept: boolean;
  /** Linux 6.0. Required. */
  multishotReceive: boolean;
  /** Linux 6.0. */
  sendZeroCopy: boolean;
}

/**
 * Tries each feature on temporary rings and sockets. It never asks for the kernel's version. Throws
 * SystemError without io_uring.
 */
export function probeFeatures(): Features {
  using ring = Ring.queueInit(8);
  const buffers = attempt(() => new BufferRing(ring, { bgid: 0, count: 2, bytes: 64 }));
  return {
    fastPoll: (ring.features & abi.IORING_FEAT_FAST_POLL) !== 0,
    sqpoll: opens(abi.IORING_SETUP_SQPOLL),
    deferTaskrun: opens(abi.IORING_SETUP_SINGLE_ISSUER | abi.IORING_SETUP_DEFER_TASKRUN),
    providedBufferRing: buffers !== undefined,
    multishotReceive: buffers !== undefined && receivesMultishot(ring, 0),
    // The descriptor is invalid. The kernel reports that only for an operation that it knows.
    sendZeroCopy: understands(ring, (sqe) => sqe.prep(abi.IORING_OP_SEND_ZC, -1, 0, 0, 0)),
    multishotAccept: acceptsMultishot(ring),
  };
}

function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

function opens(flags: number): boolean {
  const ring = attempt(() => Ring.queueInit(2, flags));
  ring?.close();
  return ring !== undefined;
}

/** An accept that the kernel knows waits for a connection. The end of the ring cancels it. */
function acceptsMultishot(ring: Ring): boolean {
  const fd = check(native().rl_socket(AF_INET, SOCK_STREAM), "socket");
  try {
    // The socket is unbound, so the kernel picks a port.
    check(native().rl_listen(fd, 1), "listen");
    ring.getSqe()!.prepMultishotAccept(fd);
    ring.submit();
    const refused = ring.peekCqe();
    if (refused) ring.cqeSeen();
    return refused === null;
  } finally {
    native().rl_close(fd);
  }
}

/**
 * Whether the kernel supports a multishot receive into provided buffers (Linux 6.0). No other
 * operation may be in flight on the ring.
 */
export function receivesMultishot(ring: Ring, bgid: number): boolean {
  const pair = new Int32Array(2);
  check(native().rl_socketpair(pointerTo(pair)), "socketpair");
  try {
    return understands(ring, (sqe) => sqe.prepRecvMultishot(pair[0]!, bgid, MSG_DONTWAIT));
  } finally {
    for (const fd of pair) native().rl_close(fd);
  }
}

/** Whether the kernel knows the operation. It refuses an unknown opcode or flag with EINVAL. */
function understands(ring: Ring, prepare: (sqe: NonNullable<ReturnType<Ring["getSqe"]>>) => void): boolean {
  prepare(ring.getSqe()!);
  ring.submitAndWait(1);
  let understood = false;
  ring.cqAdvance(
    ring.forEachCqe((cqe) => {
      if (cqe.res !== -EINVAL) understood = true;
    }),
  );
  return understood;
}
