/**
 * Datagrams on one descriptor of the ring: a multishot receive, and sends that are in flight at the same time.
 *
 * Guarantees: what a receiver is given lies in a buffer that is the kernel's again when it returns; sends that were asked
 * for together are submitted together; memory of a send is freed after its completion; nobody is called after `close()`. A
 * datagram that fails by what ICMP reported of another one is sent again.
 * Leaves to others: addresses and data of the program, and its handlers (udp.ts).
 */
import type { OperationOwner } from "../reactor/op-table.ts";
import type { Flushable } from "../reactor/flush-queue.ts";
import type { Lane } from "../reactor/lane.ts";
import type { Chunk } from "../ring/arena.ts";
import { type BufferRing, RingIntegrityError } from "../ring/buffer-ring.ts";
import { writeU64 } from "../ring/region.ts";
import {
  AF_INET,
  AF_INET6,
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUFFER,
  IORING_CQE_F_MORE,
  IOVEC_BYTES,
  IP_RECVERR,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_RECVERR,
  MSG_TRUNC,
  MSGHDR_BYTES,
  RECVMSG_OUT_BYTES,
  SOCK_DGRAM,
} from "../sys/abi.ts";
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
/** Sends that were submitted and have not completed. */
const SENDS_MAX = 1024;

const SOCKADDR_IN_BYTES = 16;
/** Room for struct sockaddr_in6. */
export const ADDRESS_BYTES = 28;
/** Datagram and address, and the header that the kernel puts before them. */
const BUFFER_BYTES = 65536 + RECVMSG_OUT_BYTES + ADDRESS_BYTES;
const BUFFERS = 64;
const BUFFER_GROUP = 1;

const enum Kind {
  Cancel,
  Close,
  /** Multishot: see MULTISHOT_KIND. */
  Receive = 6,
}

/** The life of a descriptor, in the order in which it goes. The comment says what may be in flight. */
const State = {
  /** A receive, and sends. */
  Open: 0,
  /** The close, and the last completions of what was in flight before. */
  Closing: 1,
  /** Nothing. */
  Closed: 2,
} as const;
type State = (typeof State)[keyof typeof State];

/** Hears of what comes. Each method may close the socket. */
export interface DatagramReceiver {
  /** A payload from `start` to `end` of `memory`. The sender's struct sockaddr is at `nameAt`. */
  onDatagram(memory: Buffer, start: number, end: number, nameAt: number, truncated: boolean): void;
  /** There is room again after `send` returned false. */
  onDrain(): void;
  onError(error: SystemError): void;
}

/** Where a datagram goes: an IPv4 address and port in host order, a struct sockaddr, or to the peer of a connected socket. */
export type Destination = { ipv4: number; port: number } | Uint8Array | undefined;

export class Datagrams implements OperationOwner, Flushable {
  /** -1 once closed. */
  fd: number;

  private readonly lane: Lane;
  private readonly receiver: DatagramReceiver;
  private readonly isConnected: boolean;
  private readonly buffers: BufferRing;
  private readonly slot: number;
  /** The msghdr of the receive: how much room the sender's address gets. */
  private readonly receiveHeader: Chunk;
  private state: State = State.Open;
  private receiveArmed = false;
  private sendsInFlight = 0;
  /** `send` has returned false. */
  private drainDue = false;
  private referenced = true;

  /** Takes over a descriptor of `openDatagramSocket`. Receives from the next submission on. */
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

  // ---- sending ---------------------------------------------------------------------------------------------------

  /** Sends a copy of the first `length` bytes. Returns false when too many are under way; `onDrain` follows. */
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
    // struct msghdr { name, namelen, iov, iovlen, control, controllen, flags }, struct iovec { base, len }.
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

  /** One send has completed. */
  sent(send: Send, result: number): void {
    if ((result === -EINTR || result === -EAGAIN) && !this.isClosed) return this.submit(send); // Nothing has left.
    // What ICMP reports of one datagram fails the next one in its place, which may be for somebody else: that one is sent
    // again.
    if (send.failures < failuresMax(result) && !this.isConnected && !this.isClosed) {
      send.failures++;
      this.submit(send);
      return this.report(result, "recv"); // Where Bun meets with what ICMP reports.
    }
    send.finish();
    this.sendsInFlight--;
    if (this.isClosed) return;
    if (result < 0 && result !== -ECANCELED) this.report(result, "send");
    if (this.drainDue && this.sendsInFlight < SENDS_MAX / 2) {
      this.drainDue = false;
      this.receiver.onDrain();
    }
  }

  // ---- receiving -------------------------------------------------------------------------------------------------

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

  /** Buffers came back after the receive had found none. */
  flush(): void {
    if (!this.receiveArmed && !this.isClosed) this.armReceive();
  }

  complete(kind: number, result: number, flags: number): void {
    if (kind === Kind.Receive) this.received(result, flags);
    // A cancellation misses (EALREADY) a receive that is just being woken.
    if (kind === Kind.Cancel && result < 0) this.cancelReceive();
    if (this.state === State.Closing && this.lane.operations.inFlightOf(this.slot) === 0) this.release();
  }

  /** Nothing is in flight any more. */
  private release(): void {
    const { lane } = this;
    this.move(State.Closed);
    lane.operations.release(this.slot);
    lane.reactor.arena.free(this.receiveHeader);
    if (this.referenced) lane.reactor.unref();
  }

  private received(result: number, flags: number): void {
    if ((flags & IORING_CQE_F_MORE) === 0) this.receiveArmed = false;
    if (result > 0) this.continueReceiving(); // Before the handler, which may run the event loop until the next one comes.
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
    if (result === -ENOBUFS) return this.lane.awaitBuffers(this);
    if (result < 0 && result !== -ECANCELED && result !== -EAGAIN && result !== -EINTR) this.report(result, "recv");
    this.continueReceiving();
  }

  /** A multishot receive may end at any completion, a successful one too. */
  private continueReceiving(): void {
    if (this.receiveArmed || this.isClosed) return;
    this.lane.counters.rearms++;
    this.armReceive();
  }

  /** struct io_uring_recvmsg_out { namelen, controllen, payloadlen, flags }, the address, the payload. */
  private deliver(at: number, bytes: number): void {
    const { memory } = this.buffers;
    const start = at + RECVMSG_OUT_BYTES + ADDRESS_BYTES;
    const end = Math.max(start, at + bytes);
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

/** One datagram on its way. Several are in flight at once and complete in any order, so each has a slot of its own. */
class Send implements OperationOwner {
  readonly slot: number;
  readonly chunk: Chunk;
  /** How often another's error came in its place. */
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

/** How often a datagram is sent again after an error that came from the network, and may be another datagram's (ip(7), IP_RECVERR). */
function failuresMax(result: number): number {
  switch (-result) {
    case ECONNREFUSED: // Always another's. Each failure uses one report up; where many peers are gone, several may come in a row.
      return 20;
    case EHOSTUNREACH: // Perhaps its own: there is no way to where it goes.
    case ENETUNREACH:
      return 1;
    default:
      return 0;
  }
}

/**
 * A datagram socket that is bound to `local`, and, with `remote`, connected. Throws SystemError, with what is in `where`.
 */
export function openDatagramSocket(
  local: Uint8Array,
  remote: Uint8Array | undefined,
  where: { address: string; port: number },
): number {
  const sys = native();
  const fd = check(sys.rl_socket(familyOf(local), SOCK_DGRAM), "socket", where);
  try {
    // Errors that ICMP reports reach a socket that is not connected, too.
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
