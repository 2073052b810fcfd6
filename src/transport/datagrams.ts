/**
 * Datagrams on one descriptor of the ring: one multishot receive, and many sends in flight at a
 * time.
 *
 * Guarantees: a payload is in a buffer that goes back to the kernel when `onDatagram` returns.
 * Sends that were requested together are submitted together. The memory of a send is freed after
 * its completion. Nothing is called after `close()`. If a send fails with an error that ICMP
 * reported of another datagram, it is repeated.
 * Leaves to others: the program's addresses, data and handlers (udp.ts).
 */
import type { OperationOwner, OwnerKind } from "../reactor/op-table.ts";
import type { Flushable } from "../reactor/flush-queue.ts";
import type { Lane } from "../reactor/lane.ts";
import type { Chunk } from "../ring/arena.ts";
import { type BufferRing, RingIntegrityError } from "../ring/buffer-ring.ts";
import { writeU64 } from "../ring/region.ts";
import {
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUFFER,
  IORING_CQE_F_MORE,
  IOVEC_BYTES,
  MSGHDR_BYTES,
  RECVMSG_OUT_BYTES,
} from "../sys/abi.ts";
import {
  AF_INET,
  AF_INET6,
  IP_RECVERR,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_RECVERR,
  MSG_TRUNC,
  SOCK_DGRAM,
} from "../sys/socket-abi.ts";
import { assert } from "../sys/assert.ts";
import {
  check,
  EAGAIN,
  ECANCELED,
  ECONNREFUSED,
  EHOSTUNREACH,
  EINTR,
  ENETUNREACH,
  ENOBUFS,
  SystemError,
} from "../sys/errno.ts";
import { native, pointerTo } from "../sys/library.ts";
import { copyAll } from "../sys/views.ts";
import { familyOf } from "./address.ts";

/** Bytes of the longest datagram. */
export const PAYLOAD_BYTES_MAX = 65507;
/** Highest number of sends in flight. */
const SENDS_MAX = 1024;

const SOCKADDR_IN_BYTES = 16;
/** Room for struct sockaddr_in6. */
export const ADDRESS_BYTES = 28;
/** Room for a datagram, its address, and the header that the kernel puts before them. */
const BUFFER_BYTES = 65536 + RECVMSG_OUT_BYTES + ADDRESS_BYTES;
const BUFFERS = 64;
const BUFFER_GROUP = 1;

const enum Kind {
  Cancel,
  Close,
  /** A multishot receive: see MULTISHOT_KIND. */
  Receive = 6,
}

/** States of a socket, in their order in time. Each comment says what may be in flight. */
const State = {
  /** A receive, and sends. */
  Open: 0,
  /** The close, and the last completions of the operations before it. */
  Closing: 1,
  /** Nothing. */
  Closed: 2,
} as const;
type State = (typeof State)[keyof typeof State];

/** Receives the events of a socket. Each method may close the socket. */
export interface DatagramReceiver {
  /**
   * Handles one datagram. Its payload is between `start` and `end` of `memory`. The sender's struct
   * sockaddr is at `nameAt`.
   */
  onDatagram(memory: Buffer, start: number, end: number, nameAt: number, truncated: boolean): void;
  /** Called when there is room again, after `send` has returned false. */
  onDrain(): void;
  onError(error: SystemError): void;
}

/**
 * Destination of a datagram: an IPv4 address and port in host order, or a struct sockaddr, or
 * undefined for the peer of a connected socket.
 */
export type Destination = { ipv4: number; port: number } | Uint8Array | undefined;

export class Datagrams implements OperationOwner, Flushable {
  /** The descriptor; -1 once closed. */
  fd: number;

  private readonly lane: Lane;
  private readonly receiver: DatagramReceiver;
  private readonly isConnected: boolean;
  private readonly buffers: BufferRing;
  private readonly slot: number;
  /** The msghdr of the receive. It says how much room the sender's address gets. */
  private readonly receiveHeader: Chunk;
  private state: State = State.Open;
  private receiveArmed = false;
  private sendsInFlight = 0;
  /** True after `send` has returned false, until `onDrain`. */
  private drainDue = false;
  private referenced = true;

  /**
   * Starts a socket on a descriptor of `openDatagramSocket`, and becomes its owner. Receives from
   * the next submission on.
   */
  constructor(lane: Lane, fd: number, isConnected: boolean, receiver: DatagramReceiver) {
    this.lane = lane;
    this.fd = fd;
    this.isConnected = isConnected;
    this.receiver = receiver;
    lane.owned.add(fd);
    this.buffers = lane.bufferGroup({ bgid: BUFFER_GROUP, count: BUFFERS, bytes: BUFFER_BYTES });
    this.receiveHeader = lane.reactor.arena.allocate(MSGHDR_BYTES);
    this.receiveHeader.buffer.fill(0, 0, MSGHDR_BYTES);
    this.receiveHeader.buffer.writeUInt32LE(ADDRESS_BYTES, 8);
    this.slot = lane.operations.acquire(this);
    lane.reactor.ref();
    this.armReceive();
  }

  get metricsKind(): OwnerKind | undefined {
    return this.isClosed ? undefined : "udp";
  }

  get isClosed(): boolean {
    return this.state !== State.Open;
  }

  setReferenced(referenced: boolean): void {
    if (this.referenced === referenced || this.isClosed) return;
    this.referenced = referenced;
    if (referenced) this.lane.reactor.ref();
    else this.lane.reactor.unref();
  }

  close(): void {
    if (this.isClosed) return;
    this.move(State.Closing);
    const { lane, slot, fd } = this;
    this.cancelReceive();
    lane.owned.delete(fd);
    lane.tag(lane.nextSqe().prepClose(fd), slot, Kind.Close);
    this.fd = -1;
  }

  // ---- sending ----------------------------------------------------------------------------------

  /**
   * Sends a copy of the first `length` bytes. Returns false if too many sends are in flight;
   * `onDrain` follows.
   */
  send(bytes: Uint8Array, length: number, to: Destination): boolean {
    assert(!this.isClosed, "a closed socket sends nothing");
    if (this.sendsInFlight >= SENDS_MAX) {
      this.drainDue = true;
      return false;
    }
    const { lane } = this;
    const nameAt = MSGHDR_BYTES + IOVEC_BYTES;
    const payloadAt = nameAt + ADDRESS_BYTES + 4;
    const chunk = lane.reactor.arena.allocate(payloadAt + length);
    const { buffer } = chunk;
    // struct msghdr { name, namelen, iov, iovlen, control, controllen, flags }, struct iovec {
    // base, len }.
    buffer.fill(0, 0, payloadAt);
    if (to instanceof Uint8Array) {
      writeU64(buffer, 0, chunk.address + nameAt);
      buffer.writeUInt32LE(to.length, 8);
      buffer.set(to, nameAt);
    } else if (to !== undefined) {
      // struct sockaddr_in { family, port, address, zero }
      writeU64(buffer, 0, chunk.address + nameAt);
      buffer.writeUInt32LE(SOCKADDR_IN_BYTES, 8);
      buffer.writeUInt16LE(AF_INET, nameAt);
      buffer.writeUInt16BE(to.port, nameAt + 2);
      buffer.writeUInt32BE(to.ipv4, nameAt + 4);
    }
    writeU64(buffer, 16, chunk.address + MSGHDR_BYTES);
    buffer.writeUInt32LE(1, 24);
    writeU64(buffer, MSGHDR_BYTES, chunk.address + payloadAt);
    buffer.writeUInt32LE(length, MSGHDR_BYTES + 8);
    copyAll(bytes, 0, length, buffer, payloadAt);
    this.sendsInFlight++;
    this.submit(new Send(lane, chunk, this));
    return true;
  }

  private submit(send: Send): void {
    const { lane } = this;
    lane.tag(lane.nextSqe().prepSendmsg(this.fd, send.chunk.address), send.slot, 0);
  }

  /** Handles the completion of one send. */
  sent(send: Send, result: number): void {
    // No byte has left.
    if ((result === -EINTR || result === -EAGAIN) && !this.isClosed) return this.submit(send);
    // An ICMP report of one datagram makes the next send fail, which may go to another destination.
    // That send is repeated.
    if (send.failures < failuresMax(result) && !this.isConnected && !this.isClosed) {
      send.failures++;
      this.submit(send);
      return this.report(result, "recv"); // Where Bun meets with what ICMP reports.
    }
    if (result >= 0) {
      const { traffic } = this.lane;
      traffic.datagramsSent++;
      traffic.datagramBytesSent += result;
    }
    send.finish();
    this.sendsInFlight--;
    if (this.isClosed) return;
    if (result < 0 && result !== -ECANCELED) this.report(result, "send");
    if (this.drainDue && this.sendsInFlight < SENDS_MAX / 2) {
      this.drainDue = false;
      this.receiver.onDrain();
    } else if (result >= 0) this.lane.notedCompletions++;
  }

  // ---- receiving --------------------------------------------------------------------------------

  private armReceive(): void {
    assert(!this.receiveArmed, "a datagram socket has one receive in flight");
    const { lane } = this;
    this.receiveArmed = true;
    const sqe = lane.nextSqe().prepRecvmsgMultishot(this.fd, this.receiveHeader.address, BUFFER_GROUP);
    lane.tag(sqe, this.slot, Kind.Receive);
  }

  private cancelReceive(): void {
    if (this.receiveArmed) this.lane.cancel(this.slot, Kind.Receive, Kind.Cancel);
  }

  /** Arms the receive: buffers came back after it had found none. */
  flush(): void {
    if (!this.receiveArmed && !this.isClosed) this.armReceive();
  }

  complete(kind: number, result: number, flags: number): void {
    if (kind === Kind.Receive) this.received(result, flags);
    // A cancellation misses (EALREADY) a receive that is just being woken.
    if (kind === Kind.Cancel && result < 0) this.cancelReceive();
    if (this.state === State.Closing && this.lane.operations.inFlightOf(this.slot) === 0) this.release();
  }

  /** Ends the state Closing when nothing is in flight any more. */
  private release(): void {
    const { lane } = this;
    this.move(State.Closed);
    lane.operations.release(this.slot);
    lane.reactor.arena.free(this.receiveHeader);
    if (this.referenced) lane.reactor.unref();
  }

  private received(result: number, flags: number): void {
    if ((flags & IORING_CQE_F_MORE) === 0) this.receiveArmed = false;
    // Comes before the handler, which may run the event loop until the next datagram comes.
    if (result > 0) this.continueReceiving();
    if ((flags & IORING_CQE_F_BUFFER) !== 0) {
      const bid = flags >>> IORING_CQE_BUFFER_SHIFT;
      const at = this.buffers.take(bid, Math.max(0, result));
      try {
        if (result > 0 && !this.isClosed) this.deliver(at, result);
      } finally {
        this.buffers.recycle(bid);
        this.buffers.publish();
      }
    } else if (result > 0) throw new RingIntegrityError(`completion receives ${result} bytes without a buffer`);
    if (this.isClosed) return;
    if (result === -ENOBUFS) return this.lane.awaitBuffers(this, this.buffers);
    if (result < 0 && result !== -ECANCELED && result !== -EAGAIN && result !== -EINTR) this.report(result, "recv");
    this.continueReceiving();
  }

  /**
   * Arms the receive again if it has ended. A multishot receive may end at any completion, a
   * successful one too.
   */
  private continueReceiving(): void {
    if (this.receiveArmed || this.isClosed) return;
    this.lane.counters.rearms++;
    this.armReceive();
  }

  /**
   * Delivers one datagram. The buffer contains struct io_uring_recvmsg_out { namelen, controllen,
   * payloadlen, flags }, then the address, then the payload.
   */
  private deliver(at: number, bytes: number): void {
    const { memory } = this.buffers;
    const start = at + RECVMSG_OUT_BYTES + ADDRESS_BYTES;
    const end = Math.max(start, at + bytes);
    const { traffic } = this.lane;
    traffic.datagramsReceived++;
    traffic.datagramBytesReceived += end - start;
    const truncated = (memory.readUInt32LE(at + 12) & MSG_TRUNC) !== 0;
    this.receiver.onDatagram(memory, start, end, at + RECVMSG_OUT_BYTES, truncated);
  }

  private report(result: number, syscall: string): void {
    native().rl_drain_errors(this.fd);
    this.receiver.onError(new SystemError(-result, syscall));
  }

  private move(to: State): void {
    assert(to === this.state + 1, "a datagram socket's state goes one way");
    this.state = to;
  }
}

/**
 * One send of a datagram. Several are in flight at a time and complete in any order, so each has
 * its own slot.
 */
class Send implements OperationOwner {
  readonly slot: number;
  readonly chunk: Chunk;
  /** Number of failures so far that another datagram may have caused. */
  failures = 0;
  private readonly lane: Lane;
  private readonly sender: Datagrams;

  constructor(lane: Lane, chunk: Chunk, sender: Datagrams) {
    this.lane = lane;
    this.chunk = chunk;
    this.sender = sender;
    this.slot = lane.operations.acquire(this);
  }

  complete(_kind: number, result: number): void {
    this.sender.sent(this, result);
  }

  finish(): void {
    this.lane.reactor.arena.free(this.chunk);
    this.lane.operations.release(this.slot);
  }
}

/**
 * Returns how many times a send is repeated after an error of the network: another datagram may
 * have caused the error (ip(7), IP_RECVERR).
 */
function failuresMax(result: number): number {
  switch (-result) {
    // Always caused by another datagram. Each failure uses up one report. If many peers are gone,
    // several reports may come in a row.
    case ECONNREFUSED:
      return 20;
    case EHOSTUNREACH: // May be caused by this datagram: there is no route to its destination.
    case ENETUNREACH:
      return 1;
    default:
      return 0;
  }
}

/**
 * Opens a datagram socket that is bound to `local`, and connected to `remote` if that is given.
 * Throws SystemError, with the fields of `where`.
 */
export function openDatagramSocket(
  local: Uint8Array,
  remote: Uint8Array | undefined,
  where: { address: string; port: number },
): number {
  const sys = native();
  const fd = check(sys.rl_socket(familyOf(local), SOCK_DGRAM), "socket", where);
  try {
    // ICMP errors must also reach a socket that is not connected.
    if (familyOf(local) === AF_INET6) sys.rl_setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    else sys.rl_setsockopt(fd, IPPROTO_IP, IP_RECVERR, 1);
    check(sys.rl_bind(fd, pointerTo(local), local.length), "bind", where);
    if (remote) check(sys.rl_connect(fd, pointerTo(remote), remote.length), "connect", where);
    return fd;
  } catch (error) {
    sys.rl_close(fd);
    throw error;
  }
}
