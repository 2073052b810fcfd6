/**
 * Ancillary data of sendmsg(2) and recvmsg(2), cmsg(3): descriptors, credentials, times and segment
 * sizes that go with a message's bytes.
 *
 * Guarantees: decoded data lies within the given bytes; a header that says otherwise is a
 * RangeError. Leaves to others: closing received descriptors (SCM_RIGHTS). The code that decodes
 * them owns them.
 */
import { SOL_SOCKET } from "../sys/socket-abi.ts";
import {
  I32_MIN,
  outOfRange,
  requireArray,
  requireBytes,
  requireInteger,
  requireObject,
  requireObjects,
  U16_MAX,
  U32_MAX,
} from "../sys/check.ts";
import {
  IPPROTO_UDP,
  SCM_CREDENTIALS,
  SCM_RIGHTS,
  SO_TIMESTAMP,
  SO_TIMESTAMPING,
  SO_TIMESTAMPNS,
  UDP_GRO,
  UDP_SEGMENT,
} from "../sys/linux.ts";
import { byteLengthOf, copyAll } from "../sys/views.ts";

/** One piece of ancillary data. */
export interface ControlMessage {
  /** SOL_SOCKET, IPPROTO_IP, IPPROTO_UDP and so on. */
  level: number;
  /** Message type of that level: SCM_RIGHTS, UDP_SEGMENT and so on. */
  type: number;
  data: Uint8Array;
}

/** struct ucred. */
export interface Credentials {
  pid: number;
  uid: number;
  gid: number;
}

/** sizeof(struct cmsghdr), and the alignment of each header. */
const HEADER_BYTES = 16;
const ALIGNMENT_BYTES = 8;
/** SCM_MAX_FD. */
const RIGHTS_MAX = 253;

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;

/** CMSG_SPACE(3). Returns the bytes for messages with these data sizes, headers included. */
export function controlSpace(...dataBytes: readonly number[]): number {
  return dataBytes.reduce((sum, bytes, i) => {
    requireInteger(`dataBytes[${i}]`, bytes, 0, U32_MAX);
    return sum + HEADER_BYTES + aligned(bytes);
  }, 0);
}

/** Returns the bytes of these messages, one after the other, in the layout of `msg_control`. */
export function encodeControl(messages: readonly ControlMessage[], name = "messages"): Buffer {
  requireObjects(name, messages);
  for (const [i, message] of messages.entries()) {
    requireInteger(`${name}[${i}].level`, message.level, 0, 0x7fffffff);
    requireInteger(`${name}[${i}].type`, message.type, 0, 0x7fffffff);
    requireBytes(`${name}[${i}].data`, message.data);
  }
  const lengths = messages.map(({ data }) => byteLengthOf(data));
  const bytes = Buffer.alloc(controlSpace(...lengths));
  let at = 0;
  for (const [i, { level, type, data }] of messages.entries()) {
    const length = lengths[i]!;
    bytes.writeUInt32LE(HEADER_BYTES + length, at);
    bytes.writeInt32LE(level, at + 8);
    bytes.writeInt32LE(type, at + 12);
    copyAll(data, 0, length, bytes, at + HEADER_BYTES);
    at += HEADER_BYTES + aligned(length);
  }
  return bytes;
}

/**
 * Returns the messages in the first `msg_controllen` bytes after a receive; their data are copies.
 * Throws a RangeError for bytes that are not whole messages.
 */
export function decodeControl(control: Uint8Array): ControlMessage[] {
  requireBytes("control", control);
  const bytes = Buffer.from(control);
  const messages: ControlMessage[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const length = bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 4294967296;
    if (length < HEADER_BYTES || at + length > bytes.length)
      throw outOfRange("control", `messages within their ${bytes.length} bytes`, `one of ${length} bytes at ${at}`);
    const data = new Uint8Array(bytes.subarray(at + HEADER_BYTES, at + length));
    messages.push({ level: bytes.readInt32LE(at + 8), type: bytes.readInt32LE(at + 12), data });
    at += aligned(length);
  }
  return messages;
}

// ---- unix(7) ----

/**
 * SCM_RIGHTS: 1 to 253 descriptors. The receiver gets duplicates of them. The sender may close its
 * own after the message is sent.
 */
export function scmRights(fds: readonly number[]): ControlMessage {
  requireArray("fds", fds, "an array of descriptors");
  requireInteger("fds.length", fds.length, 1, RIGHTS_MAX);
  for (const [i, fd] of fds.entries()) requireInteger(`fds[${i}]`, fd, 0, 0x7fffffff);
  return { level: SOL_SOCKET, type: SCM_RIGHTS, data: new Uint8Array(Int32Array.from(fds).buffer) };
}

/**
 * SCM_CREDENTIALS: the sender's credentials. Other values than this process's own need
 * CAP_SYS_ADMIN, CAP_SETUID or CAP_SETGID.
 */
export function scmCredentials(credentials: Credentials): ControlMessage {
  requireObject("credentials", credentials, "an object { pid, uid, gid }");
  const { pid, uid, gid } = credentials;
  for (const [name, value] of Object.entries({ pid, uid, gid })) requireInteger(name, value, I32_MIN, U32_MAX);
  return { level: SOL_SOCKET, type: SCM_CREDENTIALS, data: new Uint8Array(Uint32Array.of(pid, uid, gid).buffer) };
}

/**
 * Returns the received descriptors of all messages. The caller closes them. They are close-on-exec
 * if the receive had MSG_CMSG_CLOEXEC.
 */
export function rightsOf(messages: readonly ControlMessage[]): number[] {
  requireObjects("messages", messages);
  return messages
    .filter(({ level, type }) => level === SOL_SOCKET && type === SCM_RIGHTS)
    .flatMap((message) => {
      const data = dataOf(message);
      return [...new Int32Array(data.slice().buffer, 0, data.length >> 2)];
    });
}

/** Returns the sender's credentials, if the socket has SO_PASSCRED. */
export function credentialsOf(messages: readonly ControlMessage[]): Credentials | undefined {
  const words = wordsOf(messages, SOL_SOCKET, SCM_CREDENTIALS, 12);
  return words && { pid: words.getInt32(0, true), uid: words.getUint32(4, true), gid: words.getUint32(8, true) };
}

// ---- socket(7), udp(7) ----

/**
 * Returns the time at which the datagram has arrived, in nanoseconds since 1970. It comes from
 * SO_TIMESTAMP, SO_TIMESTAMPNS, or the kernel's part of SO_TIMESTAMPING. Undefined if the socket
 * has none of these options, or if the kernel did not record the time yet.
 */
export function timestampOf(messages: readonly ControlMessage[]): bigint | undefined {
  const micro = wordsOf(messages, SOL_SOCKET, SO_TIMESTAMP, 16);
  if (micro) return micro.getBigInt64(0, true) * 1_000_000_000n + micro.getBigInt64(8, true) * 1000n;
  const nano = wordsOf(messages, SOL_SOCKET, SO_TIMESTAMPNS, 16) ?? wordsOf(messages, SOL_SOCKET, SO_TIMESTAMPING, 16);
  return nsAt(nano, 0);
}

/**
 * Returns the time at which the network card has received the datagram (SO_TIMESTAMPING), by the
 * card's clock, in nanoseconds. Undefined if the card gives no time.
 */
export function hardwareTimestampOf(messages: readonly ControlMessage[]): bigint | undefined {
  return nsAt(wordsOf(messages, SOL_SOCKET, SO_TIMESTAMPING, 48), 32);
}

/** Reads a struct timespec. A time of zero means no time. */
function nsAt(words: DataView | undefined, at: number): bigint | undefined {
  const ns = words && words.getBigInt64(at, true) * 1_000_000_000n + words.getBigInt64(at + 8, true);
  return ns === 0n ? undefined : ns;
}

/** UDP_SEGMENT: the kernel cuts the message into datagrams of `bytes` bytes. */
export function udpSegment(bytes: number): ControlMessage {
  requireInteger("bytes", bytes, 1, U16_MAX);
  return { level: IPPROTO_UDP, type: UDP_SEGMENT, data: new Uint8Array(Uint16Array.of(bytes).buffer) };
}

/**
 * UDP_GRO: returns the size in bytes of each datagram in a message of several datagrams. The last
 * one may be shorter. Undefined for a single datagram.
 */
export function groBytesOf(messages: readonly ControlMessage[]): number | undefined {
  return wordsOf(messages, IPPROTO_UDP, UDP_GRO, 4)?.getInt32(0, true);
}

/** Returns the data of the first message of a kind, if it has at least `bytes` bytes. */
function wordsOf(
  messages: readonly ControlMessage[],
  level: number,
  type: number,
  bytes: number,
): DataView | undefined {
  requireObjects("messages", messages);
  const found = messages.find((message) => message.level === level && message.type === type);
  if (found === undefined) return undefined;
  const data = dataOf(found);
  return data.length < bytes ? undefined : new DataView(data.buffer, data.byteOffset, data.length);
}

function dataOf({ data }: ControlMessage): Uint8Array {
  requireBytes("data", data);
  return data;
}
