/**
 * Bytes that a transport keeps for its consumer.
 *
 * A few bytes are kept as a string, which needs no memory besides its characters: many connections
 * keep the beginning of a request's head, and nothing else.
 */
import { ByteQueue } from "./byte-queue.ts";

export type Inbox = string | ByteQueue | null;

/** Highest number of bytes that are kept as a string. */
const TEXT_BYTES_MAX = 1024;

/** Returns an inbox with bytes added to the end of `inbox`. */
export function append(inbox: Inbox, memory: Buffer, start: number, end: number): Inbox {
  if (inbox === null && end - start <= TEXT_BYTES_MAX) return memory.latin1Slice(start, end);
  const queue = inbox === null ? new ByteQueue() : queueOf(inbox);
  queue.append(memory, start, end);
  return queue;
}

/** Returns the bytes as a queue, to read them from the front. */
export function queueOf(inbox: string | ByteQueue): ByteQueue {
  if (typeof inbox !== "string") return inbox;
  const queue = new ByteQueue();
  const bytes = Buffer.from(inbox, "latin1");
  queue.append(bytes, 0, bytes.length);
  return queue;
}

/** Returns an inbox with the rest of `first`, followed by `second`. */
export function join(first: ByteQueue, second: Inbox): Inbox {
  if (first.length === 0) return second;
  if (second !== null) {
    const { memory, start, end } = queueOf(second);
    first.append(memory, start, end);
  }
  return first;
}
