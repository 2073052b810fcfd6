/**
 * A stream of bytes both ways, and who takes what arrives on it. Today each is a socket of the ring (connection.ts).
 *
 * A transport keeps what has arrived until its consumer takes it. So a consumer has no memory of its own for bytes
 * that come too early, and a change of consumers loses nothing.
 */
import type { SystemError } from "../sys/errno.ts";
import type { SocketAddress } from "./address.ts";
import type { Outbox } from "./outbox.ts";

/** Takes what arrives. Each method may write to the transport, hold it, end it and change its consumer. */
export interface Consumer {
  /**
   * Bytes from `start` to `end` of `memory`. Returns the position up to which it has taken them. The transport keeps the
   * rest, and offers it again, with what has arrived behind it, when more arrives and after `transport.offer()`.
   * The memory is the transport's again when this returns; until then the consumer may change the bytes. Unless it
   * `isReentrant`, it is never called inside of itself for the same transport, also where a handler runs the event loop.
   * Bytes of a call that throws count as taken.
   */
  consume(memory: Buffer, start: number, end: number, transport: Transport): number;
  /**
   * It takes everything it is offered, always, and may be offered more inside of its own `consume`, where a handler runs
   * the event loop.
   */
  readonly isReentrant: boolean;
  /** So many bytes may wait for this consumer. The transport stops receiving at more. */
  readonly backlogBytesMax: number;
  /** The peer sends no more. Called once, when the consumer was offered everything. */
  onEnd(transport: Transport): void;
  /** Everything queued has left, after `requestDrain()`; or the socket takes bytes again, after `requestWritable()`. */
  onDrain(transport: Transport): void;
  /** The time set with `setTimeout()` is over. */
  onTimeout(transport: Transport): void;
  /** The last call: nothing is in flight any more. */
  onClose(error: SystemError | undefined, transport: Transport): void;
}

/** Who wants a transport to receive nothing. Each releases its own hold; receiving goes on when nobody holds it. */
export const Hold = {
  /** The program, by `pause()`. */
  Program: 0x100000,
  /** A reader that is behind: of a request's body, or of a StreamSocket. */
  Reader: 0x200000,
  /** An HTTP exchange whose client does not read its answers. */
  Exchange: 0x400000,
} as const;
export type Hold = (typeof Hold)[keyof typeof Hold];

/** What follows the last queued byte. A later call may ask for more, never for less. */
export type Finish =
  /** FIN. The peer may still send. */
  | "fin"
  /** FIN, and the end: bytes that arrive are dropped for two seconds, so that the peer reads the answer and not a reset. */
  | "linger"
  /** The end. */
  | "close";

export interface Transport {
  /** Takes what is to be sent. Ask for it each time: it is another connection's as soon as everything has left. */
  readonly outbox: Outbox;
  /** Bytes that were written and that the kernel has not taken. */
  readonly queuedBytes: number;
  /** Who is offered what arrives. */
  readonly consumer: Consumer;
  /** The consumer's own. */
  context: unknown;
  /** Neither `finish()` nor `destroy()` was called. */
  readonly isOpen: boolean;
  /** `destroy()` was called, or the connection broke, or only bytes to be dropped are awaited. */
  readonly isGone: boolean;
  /** The peer sends no more. Bytes that it sent before may wait for the consumer. */
  readonly peerEnded: boolean;
  /** The consumer is being offered bytes: its `consume` is on the stack. */
  readonly isOffering: boolean;
  /** Nothing is queued or on its way. */
  readonly isDrained: boolean;
  readonly localAddress: SocketAddress | undefined;
  readonly remoteAddress: SocketAddress | undefined;
  /** Another consumer takes over. It is offered everything that was not taken, and told of the peer's end, before the next submission. */
  setConsumer(consumer: Consumer): void;
  /** Offers what was not taken, now. Returns false when nothing waits. Does nothing inside of `consume`. */
  offer(): boolean;
  /** Stops receiving: what the peer sends stays in the kernel, and the peer's window closes. Offers nothing meanwhile. */
  hold(reason: Hold): void;
  /** Takes back `hold(reason)`, and no other. */
  release(reason: Hold): void;
  /** Asks for `onDrain` when everything queued has left. */
  requestDrain(): void;
  /** Asks for `onDrain` when the socket takes bytes again. */
  requestWritable(): void;
  /**
   * Sends `head`, and then bytes from a file's page cache, at once. Nothing may be queued. Returns how many bytes of both
   * the socket took, or -EAGAIN for none (see `requestWritable`), -ENODATA for a file that must be read from its disk
   * first, or another -errno.
   */
  sendFile(head: Uint8Array, file: number, offset: number, bytes: number): number;
  /** Ends after what is queued. */
  finish(how: Finish): void;
  /** Ends now; what is queued is lost. `reset` sends RST instead of FIN. */
  destroy(error?: SystemError, reset?: boolean): void;
  /** Whether the kernel has taken a part of what is queued since the last call: the peer reads, if slowly. */
  takeProgress(): boolean;
  /** Calls `onTimeout` once, after `delayMs` (to 250 ms). A second call moves the deadline. */
  setTimeout(delayMs: number): void;
  clearTimeout(): void;
  /** Whether the open connection keeps the process alive. It does at first. */
  setReferenced(referenced: boolean): void;
}
