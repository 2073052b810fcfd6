/**
 * The kinds of rings that a test runs on. They differ in the thread that submits, and in the thread
 * that runs the kernel's task work.
 */
import { test } from "bun:test";
import {
  errnoName,
  getProbe,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SQPOLL,
  Ring,
  type RingParams,
  type Sqe,
} from "../../src/ring/index.ts";
import { check } from "../../src/sys/errno.ts";

/** With the default, the SQ thread of an idle ring would use a core for a second. */
const SQ_THREAD_IDLE_MS = 20;

export const ringKinds: readonly (readonly [kind: string, flags: number])[] = [
  ["plain", 0],
  ["defer", IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN],
  ["sqpoll", IORING_SETUP_SQPOLL],
];

export function openRing(entries: number, flags: number, params: RingParams = {}): Ring {
  return Ring.queueInit(entries, { sqThreadIdleMs: SQ_THREAD_IDLE_MS, ...params, flags });
}

/** Returns an entry. Waits if the SQ thread must first make room. */
export function nextSqe(ring: Ring): Sqe {
  for (;;) {
    const sqe = ring.getSqe();
    if (sqe) return sqe;
    if (ring.sqpoll) ring.sqringWait();
    else ring.submit();
  }
}

export interface Completion {
  data: bigint;
  res: number;
  flags: number;
}

/** Limit of a wait, far longer than any wait here, so that a missing completion is an error. */
const PATIENCE_US = 5_000_000;

/** Waits for the next `count` completions, and frees their entries in the queue. */
export function nextCompletions(ring: Ring, count: number): Completion[] {
  return Array.from({ length: count }, (_, i) => {
    const cqe = ring.waitCqe(PATIENCE_US);
    if (cqe === null) throw new Error(`completion ${i + 1} of ${count} did not come`);
    const completion = { data: cqe.data64, res: cqe.res, flags: cqe.flags };
    ring.cqeSeen();
    return completion;
  });
}

export function nextCompletion(ring: Ring): Completion {
  return nextCompletions(ring, 1)[0]!;
}

/** Prepares one entry, submits it, and waits for its completion. Nothing else may be in flight. */
export function complete(ring: Ring, prepare: (sqe: Sqe) => unknown): Completion {
  prepare(nextSqe(ring));
  ring.submit();
  return nextCompletion(ring);
}

/** As `complete`, for an operation that must succeed. Returns the result. */
export function succeed(ring: Ring, prepare: (sqe: Sqe) => unknown): number {
  return check(complete(ring, prepare).res, "io_uring");
}

/** As `complete`, for an operation that must fail. Returns the error's code, such as "ENOENT". */
export function fail(ring: Ring, prepare: (sqe: Sqe) => unknown): string {
  const { res } = complete(ring, prepare);
  if (res >= 0) throw new Error(`the operation succeeded with ${res}`);
  return errnoName(-res);
}

const probe = getProbe();

/** A test that is reported as skipped if the kernel does not have the operations. */
export function testWith(...opcodes: number[]): ReturnType<typeof test.if> {
  return test.if(opcodes.every((opcode) => probe.opcodeSupported(opcode)));
}
