/**
 * Operations on sockets whose results are more than a number: the peer or the sender, and the
 * control messages of a message.
 *
 * Guarantees: descriptors that come with a message (SCM_RIGHTS) are close-on-exec, and are closed
 * if nobody gets them.
 */
import { type ControlMessage, encodeControl, rightsOf } from "../ring/control-messages.ts";
import {
  Msghdr,
  peerAddress,
  type PeerAddress,
  RoomForSockaddr,
  sockaddrBytes,
  type SockaddrOptions,
} from "../ring/messages.ts";
import { type Place, Region } from "../ring/region.ts";
import { invalidType, requireInteger, requireObject } from "../sys/check.ts";
import { Iovec } from "../ring/structs.ts";
import { MSG_NOSIGNAL, MSG_TRUNC, SOCK_CLOEXEC } from "../sys/socket-abi.ts";
import { native } from "../sys/library.ts";
import { MSG_CMSG_CLOEXEC } from "../sys/linux.ts";
import { SOCKADDR_BYTES_MAX } from "../sys/sockaddr.ts";
import { byteLengthOf } from "../sys/views.ts";
import type { Chunk } from "../ring/arena.ts";
import { copyIn, giveBack, theResult } from "./operation-data.ts";
import type { Kind, Operation, OperationOptions } from "./operation.ts";
import { SocketOperations } from "./operation-sockets.ts";

const FLAGS_MAX = 0x7fffffff;
/**
 * Enough for a time, a size, an address, and all the descriptors that most programs send at once.
 */
const CONTROL_BYTES = 256;
const CONTROL_BYTES_MAX = 65536;
/** UIO_MAXIOV. */
const PIECES_MAX = 1024;

/** One connection, and its peer. */
export interface Accepted {
  fd: number;
  /** The peer's address. Undefined for a Unix socket without a name. */
  address: PeerAddress | undefined;
}

type Pieces = NodeJS.ArrayBufferView | readonly NodeJS.ArrayBufferView[];

/** The message that `sendmsg` sends. */
export interface MessageToSend {
  /** One piece, or several in order: at most 1 MiB each. */
  data: Pieces;
  /**
   * The destination, for a socket that is not connected: numeric `hostname` and `port`, `unix`, or
   * the `from` of a `recvmsg`.
   */
  to?: SockaddrOptions;
  /** Control messages: `scmRights`, `udpSegment` and so on, of `ringloop/ring`. */
  control?: readonly ControlMessage[];
}

/** The memory that `recvmsg` fills. */
export interface MessageRoom {
  /** One piece of memory, or several, filled in order: at most 1 MiB each. */
  into: Pieces;
  /** Bytes of room for control messages. Default 256; 0 for none. */
  controlBytes?: number;
}

export interface ReceivedMessage {
  bytes: number;
  /** The sender, if the socket is not connected and the sender has a name. */
  from: PeerAddress | undefined;
  /**
   * Control messages, for `rightsOf`, `timestampOf`, `groBytesOf` and so on, of `ringloop/ring`.
   * The caller must close the descriptors in them.
   */
  control: ControlMessage[];
  /** MSG_TRUNC, MSG_CTRUNC and so on. */
  flags: number;
}

/** The data of a message operation from its start to its end. It is in the operation's `data`. */
class Message {
  readonly pieces: readonly NodeJS.ArrayBufferView[];
  readonly address: Uint8Array | undefined;
  readonly control: Uint8Array | undefined;
  readonly controlBytes: number;
  header: Msghdr | undefined;
  name: Region | undefined;

  constructor(
    pieces: readonly NodeJS.ArrayBufferView[],
    address: Uint8Array | undefined,
    control: Uint8Array | undefined,
    controlBytes: number,
  ) {
    this.pieces = pieces;
    this.address = address;
    this.control = control;
    this.controlBytes = controlBytes;
  }

  /** Lays out the header, and all that it points at except the pieces. */
  place(operation: Operation<any>, chunks: readonly Chunk[], nameBytes: number): void {
    const { pieces, address, control, controlBytes } = this;
    const vectorBytes = Iovec.bytesFor(pieces);
    const chunk = operation.room(Msghdr.bytes + SOCKADDR_BYTES_MAX + controlBytes + vectorBytes);
    chunk.buffer.fill(0, 0, Msghdr.bytes);
    let used = 0;
    const next = (bytes: number): Place => {
      const from = used;
      used += bytes;
      return { address: chunk.address + from, buffer: chunk.buffer.subarray(from, used) as Buffer };
    };
    const header = next(Msghdr.bytes);
    this.name = new Region(next(SOCKADDR_BYTES_MAX));
    const beside = new Region(next(controlBytes));
    const iovec = new Iovec(
      next(vectorBytes),
      chunks.map((each) => ({ address: each.address, bytes: each.length })),
    );
    if (address !== undefined) this.name.buffer.set(address);
    if (control !== undefined) beside.buffer.set(control);
    this.header = new Msghdr(header, {
      iovec,
      ...(nameBytes > 0 ? { name: this.name } : {}),
      ...(controlBytes > 0 ? { control: beside } : {}),
    });
    this.header.nameBytes = nameBytes;
    operation.address = header.address;
  }
}

const acceptFrom: Kind<Accepted> = {
  syscall: "accept",
  place(operation) {
    const { address, lengthAddress } = new RoomForSockaddr(operation.room(RoomForSockaddr.bytes));
    operation.address = address;
    operation.address2 = lengthAddress;
  },
  prepare: (sqe, { fd, address, address2 }) => void sqe.prepAccept(fd, SOCK_CLOEXEC, address, address2),
  finish({ chunk }, fd) {
    const length = chunk!.buffer.readUInt32LE(SOCKADDR_BYTES_MAX);
    return { fd, address: peerAddress(chunk!.buffer.subarray(0, Math.min(length, SOCKADDR_BYTES_MAX))) };
  },
  discard: (_operation, fd) => void native().rl_close(fd),
};

const sendmsg: Kind<number> = {
  syscall: "sendmsg",
  moves: true,
  place(operation) {
    const message = operation.data as Message;
    const chunks = message.pieces.map((view) => {
      const bytes = byteLengthOf(view);
      const chunk = operation.room(bytes);
      operation.lent += chunk.length = copyIn(chunk, view, 0, bytes);
      return chunk;
    });
    message.place(operation, chunks, message.address?.length ?? 0);
  },
  prepare: (sqe, { fd, address, flags }) => void sqe.prepSendmsg(fd, address, flags),
  finish: theResult,
};

const recvmsg: Kind<ReceivedMessage> = {
  syscall: "recvmsg",
  place(operation) {
    const message = operation.data as Message;
    const chunks = message.pieces.map((view) => {
      const chunk = operation.room(byteLengthOf(view));
      operation.lent += chunk.length = byteLengthOf(view);
      return chunk;
    });
    message.place(operation, chunks, SOCKADDR_BYTES_MAX);
  },
  moves: true,
  prepare: (sqe, { fd, address, flags }) => void sqe.prepRecvmsg(fd, address, flags),
  finish(operation, bytes) {
    const { header, name, pieces } = operation.data as Message;
    const control = header!.controlMessages;
    try {
      let left = Math.min(bytes, operation.lent);
      let { chunk } = operation;
      for (const view of pieces) {
        const part = Math.min(left, chunk!.length);
        giveBack(chunk!, part, view, 0);
        left -= part;
        chunk = chunk!.next;
      }
    } catch (error) {
      closeRights(control);
      throw error;
    }
    const from = peerAddress(name!.buffer.subarray(0, Math.min(header!.nameBytes, SOCKADDR_BYTES_MAX)));
    return { bytes, from, control, flags: header!.flags };
  },
  discard: ({ data }) => closeRights((data as Message).header!.controlMessages),
};

/** The result may be larger than the room: see `recvTruncating`. */
const recvmsgTruncating: Kind<ReceivedMessage> = { ...recvmsg, moves: false };

function closeRights(control: readonly ControlMessage[]): void {
  for (const fd of rightsOf(control)) native().rl_close(fd);
}

function piecesOf(name: string, given: Pieces): NodeJS.ArrayBufferView[] {
  const pieces = ArrayBuffer.isView(given) ? [given] : given;
  const allowed = `a view of bytes, or an array of up to ${PIECES_MAX}`;
  if (!Array.isArray(pieces) || pieces.length > PIECES_MAX) throw invalidType(name, allowed, given);
  const wrong = pieces.find((each) => !ArrayBuffer.isView(each));
  if (wrong !== undefined) throw invalidType(name, allowed, wrong);
  return [...pieces] as NodeJS.ArrayBufferView[]; // A copy, since the caller may change the array.
}

export class MessageOperations extends SocketOperations {
  /** Runs accept(2): the descriptor of one connection, close-on-exec, and the peer's address. */
  acceptFrom(fd: number, options?: OperationOptions): Operation<Accepted> {
    return this.onFile(acceptFrom, fd, options);
  }

  /**
   * Runs sendto(2): sends one datagram of at most 1 MiB, without a signal. The value is the number
   * of bytes.
   */
  sendto(fd: number, data: Uint8Array, to: SockaddrOptions, flags = 0, options?: OperationOptions): Operation<number> {
    return this.sendmsg(fd, { data, to }, flags, options);
  }

  /**
   * Runs sendmsg(2), without a signal. The value is the number of bytes, which may be fewer on a
   * stream. `flags`: MSG_*.
   */
  sendmsg(fd: number, message: MessageToSend, flags = 0, options?: OperationOptions): Operation<number> {
    requireInteger("flags", flags, 0, FLAGS_MAX);
    requireObject("message", message);
    const { data, to, control } = message;
    const pieces = piecesOf("message.data", data);
    const beside = control === undefined ? undefined : encodeControl(control, "message.control");
    const operation = this.onFile(sendmsg, fd, options);
    const address = to === undefined ? undefined : sockaddrBytes(to, "to");
    operation.data = new Message(pieces, address, beside, beside?.length ?? 0);
    operation.flags = flags | MSG_NOSIGNAL;
    return operation;
  }

  /**
   * Runs recvmsg(2): the bytes, the sender, and the control messages. 0 bytes of a stream are its
   * end. `flags`: MSG_*. With MSG_TRUNC, `bytes` is the length of the whole datagram, which may be
   * more than `into` has room for.
   */
  recvmsg(fd: number, room: MessageRoom, flags = 0, options?: OperationOptions): Operation<ReceivedMessage> {
    requireInteger("flags", flags, 0, FLAGS_MAX);
    requireObject("room", room);
    const { into, controlBytes = CONTROL_BYTES } = room;
    requireInteger("room.controlBytes", controlBytes, 0, CONTROL_BYTES_MAX);
    const pieces = piecesOf("room.into", into);
    const operation = this.onFile((flags & MSG_TRUNC) === 0 ? recvmsg : recvmsgTruncating, fd, options);
    // The iovec follows, and it must begin at a multiple of eight.
    operation.data = new Message(pieces, undefined, undefined, Math.ceil(controlBytes / 8) * 8);
    operation.flags = flags | MSG_CMSG_CLOEXEC;
    return operation;
  }
}
