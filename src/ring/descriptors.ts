/**
 * Makes descriptors that a ring's operations use, and that neither Bun nor Node makes: counters,
 * timers, processes, memory, pipes, socket pairs, epoll and inotify instances.
 *
 * Guarantees: each descriptor is close-on-exec. The ends of a pipe or a socket pair are blocking: a
 * ring waits for them by itself, and answers EAGAIN for an end with O_NONBLOCK. Errors are
 * SystemError with the system call's name. Leaves to others: closing the descriptors (`closeSync`
 * of node:fs, `prepClose`).
 */
import { AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM } from "../sys/socket-abi.ts";
import {
  I32_MAX,
  outOfRange,
  requireBytes,
  requireInteger,
  requireNumber,
  requireObject,
  requireText,
  U32_MAX,
} from "../sys/check.ts";
import { check } from "../sys/errno.ts";
import { native, pointerTo } from "../sys/library.ts";
import { CLOCK_MONOTONIC, EFD_CLOEXEC, MFD_CLOEXEC, TFD_TIMER_ABSTIME } from "../sys/linux.ts";

/**
 * EFD_CLOEXEC, TFD_CLOEXEC, EPOLL_CLOEXEC, IN_CLOEXEC, O_CLOEXEC and SOCK_CLOEXEC are the same bit.
 */
const CLOEXEC = EFD_CLOEXEC;

function requireFlags(flags: number): void {
  requireInteger("flags", flags, 0, U32_MAX);
}

/**
 * eventfd(2): a counter of 64 bits. `initial` is below 2^32. `flags`: EFD_SEMAPHORE, EFD_NONBLOCK.
 */
export function eventfd(initial = 0, flags = 0): number {
  requireInteger("initial", initial, 0, U32_MAX);
  requireFlags(flags);
  return check(native().rl_make_eventfd(initial, flags | CLOEXEC), "eventfd");
}

/** epoll_create1(2). */
export function epollCreate(): number {
  return check(native().rl_make_epoll(CLOEXEC), "epoll_create1");
}

/**
 * timerfd_create(2). `clock`: CLOCK_MONOTONIC (the default), CLOCK_REALTIME or CLOCK_BOOTTIME. The
 * timer does not run until `timerfdSettime` sets it.
 */
export function timerfdCreate(clock = CLOCK_MONOTONIC, flags = 0): number {
  requireInteger("clock", clock, 0, I32_MAX);
  requireFlags(flags);
  return check(native().rl_make_timerfd(clock, flags | CLOEXEC), "timerfd_create");
}

/** Times of a timerfd in milliseconds, fractions included. */
export interface TimerTimes {
  /**
   * Time until the timer first fires; with `isAbsolute`, the time of its clock at which it fires. 0
   * stops the timer.
   */
  valueMs: number;
  /** Time between further expirations. Default 0: the timer fires once. */
  intervalMs?: number;
}

/**
 * timerfd_settime(2). A read of the descriptor gives the number of expirations since the last read,
 * in 64 bits. `flags`: TFD_TIMER_CANCEL_ON_SET.
 */
export function timerfdSettime(fd: number, times: TimerTimes & { isAbsolute?: boolean }, flags = 0): void {
  requireDescriptor(fd);
  requireFlags(flags);
  requireObject("times", times);
  const { valueMs, intervalMs = 0, isAbsolute = false } = times;
  const words = new BigInt64Array(4);
  for (const [at, name, ms] of [[0, "intervalMs", intervalMs] as const, [2, "valueMs", valueMs] as const]) {
    requireNumber(name, ms, 0, Number.MAX_SAFE_INTEGER);
    const seconds = Math.floor(ms / 1000);
    words[at] = BigInt(seconds);
    words[at + 1] = BigInt(Math.min(999_999_999, Math.round((ms - seconds * 1000) * 1e6)));
  }
  const mode = flags | (isAbsolute ? TFD_TIMER_ABSTIME : 0);
  check(native().rl_timerfd_settime(fd, mode, pointerTo(words)), "timerfd_settime");
}

/** timerfd_gettime(2). Returns the time until the timer fires next, and its interval. */
export function timerfdGettime(fd: number): Required<TimerTimes> {
  requireDescriptor(fd);
  const words = new BigInt64Array(4);
  check(native().rl_timerfd_gettime(fd, pointerTo(words)), "timerfd_gettime");
  const ms = (at: number): number => Number(words[at]!) * 1000 + Number(words[at + 1]!) / 1e6;
  return { valueMs: ms(2), intervalMs: ms(0) };
}

/**
 * pidfd_open(2): a process, for a poll (it is readable after the process has ended) or for
 * waitid(2) with P_PIDFD. `flags`: PIDFD_NONBLOCK.
 */
export function pidfdOpen(pid: number, flags = 0): number {
  requireInteger("pid", pid, 1, I32_MAX);
  requireFlags(flags);
  return check(native().rl_make_pidfd(pid, flags), "pidfd_open");
}

/**
 * memfd_create(2): a file in memory, without a path. `name` is shown in /proc and has at most 249
 * bytes. `flags`: MFD_ALLOW_SEALING, MFD_HUGETLB.
 */
export function memfdCreate(name: string, flags = 0): number {
  requireFlags(flags);
  return check(native().rl_make_memfd(pointerTo(cString("name", name)), flags | MFD_CLOEXEC), "memfd_create");
}

/** pipe2(2). `flags`: O_NONBLOCK, O_DIRECT. */
export function pipe2(flags = 0): [readFd: number, writeFd: number] {
  requireFlags(flags);
  const fds = new Int32Array(2);
  check(native().rl_make_pipe(pointerTo(fds), flags | CLOEXEC), "pipe2");
  return [fds[0]!, fds[1]!];
}

/** socketpair(2). Default: AF_UNIX and SOCK_STREAM. */
export function socketpair(domain = AF_UNIX, type = SOCK_STREAM, protocol = 0): [number, number] {
  for (const [name, value] of Object.entries({ domain, type, protocol })) requireInteger(name, value, 0, I32_MAX);
  const fds = new Int32Array(2);
  check(native().rl_make_socketpair(domain, type | SOCK_CLOEXEC, protocol, pointerTo(fds)), "socketpair");
  return [fds[0]!, fds[1]!];
}

// ---- inotify(7) ----

/** inotify_init1(2). `flags`: IN_NONBLOCK. */
export function inotifyInit(flags = 0): number {
  requireFlags(flags);
  return check(native().rl_make_inotify(flags | CLOEXEC), "inotify_init1");
}

/**
 * inotify_add_watch(2) on a file or a directory, for IN_* events. Returns the watch number that its
 * events have.
 */
export function inotifyAddWatch(fd: number, path: string, mask: number): number {
  requireDescriptor(fd);
  requireInteger("mask", mask, 0, U32_MAX);
  return check(native().rl_inotify_add_watch(fd, pointerTo(cString("path", path)), mask), "inotify_add_watch", {
    path,
  });
}

/** struct inotify_event. */
export interface InotifyEvent {
  /** The number that `inotifyAddWatch` has returned. */
  watch: number;
  /** IN_*. */
  mask: number;
  /** The same number for both events of a rename; 0 for other events. */
  cookie: number;
  /**
   * Name of the file in a watched directory; "" for an event of the watched file or directory
   * itself.
   */
  name: string;
}

const EVENT_BYTES = 16;

/**
 * Returns the events in bytes that were read from an inotify descriptor. Throws a RangeError for
 * bytes that are not whole events.
 */
export function inotifyEvents(bytes: Uint8Array): InotifyEvent[] {
  requireBytes("bytes", bytes);
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const events: InotifyEvent[] = [];
  for (let at = 0; at < view.length;) {
    const end = at + EVENT_BYTES <= view.length ? at + EVENT_BYTES + view.readUInt32LE(at + 12) : Infinity;
    if (end > view.length) throw outOfRange("bytes", "whole events", `${view.length - at} bytes at ${at}`);
    const name = view.subarray(at + EVENT_BYTES, end);
    events.push({
      watch: view.readInt32LE(at),
      mask: view.readUInt32LE(at + 4),
      cookie: view.readUInt32LE(at + 8),
      name: name.subarray(0, Math.max(0, name.indexOf(0))).toString(), // NULs fill the name up.
    });
    at = end;
  }
  return events;
}

function requireDescriptor(fd: number): void {
  requireInteger("fd", fd, 0, I32_MAX);
}

function cString(name: string, text: string): Buffer {
  requireText(name, text);
  return Buffer.from(`${text}\0`);
}
