/**
 * A stream of bytes in both directions, and the consumer of the bytes that arrive. Today each
 * transport is a socket of the ring (connection.ts).
 *
 * A transport keeps the bytes that have arrived until its consumer takes them. So a consumer needs
 * no memory for bytes that come too early, and a change of consumers loses nothing.
 */
import type { SystemError } from "../sys/errno.ts";
import type { ConnectionKind } from "../reactor/op-table.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { SocketAddress } from "./address.ts";
import type { Outbox } from "./outbox.ts";

/**
 * Takes the bytes that arrive. Each method may write to the transport, hold it, end it and change
 * its consumer.
 */
export interface Consumer {
  /**
   * Offers the bytes between `start` and `end` of `memory`. Returns the position up to which the
   * consumer has taken them.
   *
   * The transport keeps the rest. It offers the rest again, followed by newer bytes, when more
   * arrives and after `transport.offer()`. The memory is lent until this returns; until then the
   * consumer may change the bytes. Unless the consumer `isReentrant`, `consume` is never called
   * inside of itself for the same transport, even if a handler runs the event loop. If `consume`
   * throws, all offered bytes count as taken.
   */
  consume(memory: Buffer, start: number, end: number, transport: Transport): number;
  /**
   * Called after `receiveDirectly(true)`, when the kernel has `available` bytes, or the peer's end.
   * The consumer calls `transport.receiveInto()` once, and returns what that has returned. If it
   * has received bytes, `consume` is called next, with none.
   */
  onReadable?(transport: Transport, available: number): number;
  /**
   * Whether the consumer always takes everything. Such a consumer may be offered more inside of its
   * own `consume`, if a handler runs the event loop.
   */
  readonly isReentrant: boolean;
  /**
   * Number of bytes that may wait for this consumer. With that many the transport stops receiving.
   */
  readonly backlogBytesMax: number;
  /** What the connection counts as in the metrics. Default: `http`. */
  readonly connectionKind?: ConnectionKind;
  /** Called once when the peer sends no more, after the consumer was offered all bytes. */
  onEnd(transport: Transport): void;
  /**
   * Called after `requestDrain()`, when everything queued has left; or after `requestWritable()`,
   * when the socket accepts bytes again.
   */
  onDrain(transport: Transport): void;
  /** Called when the time of `setTimeout()` is over. */
  onTimeout(transport: Transport): void;
  /** Called last: nothing is in flight any more. */
  onClose(error: SystemError | undefined, transport: Transport): void;
}

/**
 * Reasons for a transport to stop receiving. Each reason has its own hold, and receiving goes on
 * when all holds are released.
 */
export const Hold = {
  /** The program has called `pause()`. */
  Program: 0x100000,
  /** A reader is behind: of a request's body, or of a StreamSocket. */
  Reader: 0x200000,
  /** An HTTP exchange has a client that does not read its answers. */
  Exchange: 0x400000,
} as const;
export type Hold = (typeof Hold)[keyof typeof Hold];

/** What follows the last queued byte. A later call may ask for more, never for less. */
export type Finish =
  /** FIN. The peer may still send. */
  | "fin"
  /**
   * FIN, and then the end. Bytes that arrive are dropped for two seconds, so that the peer reads
   * the answer and not a reset.
   */
  | "linger"
  /** The end of the connection. */
  | "close";

export interface Transport {
  /** The event loop that serves it. */
  readonly reactor: Reactor;
  /**
   * The queue of bytes to send. Read this property each time: once everything has left, the outbox
   * serves another connection.
   */
  readonly outbox: Outbox;
  /** Number of bytes that were written and that the kernel has not accepted. */
  readonly queuedBytes: number;
  /** The consumer, which is offered the bytes that arrive. */
  readonly consumer: Consumer;
  /** A value that belongs to the consumer. */
  context: unknown;
  /** True until `finish()` or `destroy()` is called. */
  readonly isOpen: boolean;
  /**
   * True once `destroy()` was called, or the connection broke, or arriving bytes are only dropped.
   */
  readonly isGone: boolean;
  /** Whether the peer sends no more. Bytes that it sent before may still wait for the consumer. */
  readonly peerEnded: boolean;
  /** Whether the consumer's `consume` is on the stack. */
  readonly isOffering: boolean;
  /** Whether nothing is queued and no send is in flight. */
  readonly isDrained: boolean;
  readonly localAddress: SocketAddress | undefined;
  readonly remoteAddress: SocketAddress | undefined;
  /**
   * Replaces the consumer. Before the next submission, the new consumer is offered all bytes that
   * were not taken, and told of the peer's end.
   */
  setConsumer(consumer: Consumer): void;
  /**
   * Offers the bytes that were not taken, now. Returns false if there are none. Does nothing inside
   * of `consume`.
   */
  offer(): boolean;
  /**
   * Stops receiving: the peer's bytes stay in the kernel, and its window closes. Until the release
   * nothing is offered.
   */
  hold(reason: Hold): void;
  /** Ends the hold with this reason, and no other hold. */
  release(reason: Hold): void;
  /**
   * Sets whether the consumer wants to take bytes out of the kernel itself, into its own memory.
   * This pays for many bytes. The transport may still offer bytes, so the consumer repeats its wish
   * with each of them. A new consumer has no such wish.
   */
  receiveDirectly(wanted: boolean): void;
  /**
   * Receives at most `bytes` bytes to `address`. Returns their number, 0 for the peer's end, or
   * -errno. Only inside of `onReadable`, once. The transport handles the end and the errors.
   */
  receiveInto(address: number, bytes: number): number;
  /** Asks for `onDrain` when everything queued has left. */
  requestDrain(): void;
  /** Asks for `onDrain` when the socket accepts bytes again. */
  requestWritable(): void;
  /**
   * Sends `head`, followed by bytes from a file's page cache, at once. Nothing may be queued.
   * Returns the number of bytes of both that the socket accepted. Returns -EAGAIN for none (see
   * `requestWritable`), -ENODATA if the file must first be read from its disk, or another -errno.
   */
  sendFile(head: Uint8Array, file: number, offset: number, bytes: number): number;
  /** Ends the connection after everything queued. */
  finish(how: Finish): void;
  /** Ends the connection now; everything queued is lost. `reset` sends RST instead of FIN. */
  destroy(error?: SystemError, reset?: boolean): void;
  /**
   * Returns whether the kernel has accepted a part of the queue since the last call: then the peer
   * reads, if slowly.
   */
  takeProgress(): boolean;
  /** Calls `onTimeout` once, after `delayMs` (to 250 ms). A second call moves the deadline. */
  setTimeout(delayMs: number): void;
  clearTimeout(): void;
  /** Sets whether the open connection keeps the process alive. It does at first. */
  setReferenced(referenced: boolean): void;
}
