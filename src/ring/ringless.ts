/**
 * Calls of io_uring_register(2) without a ring: queries of the kernel's features, and a message to
 * another ring. Every function throws SystemError with syscall "io_uring_register": EINVAL or EBADF
 * on an older kernel.
 */
import {
  IO_URING_QUERY_OPCODES,
  IO_URING_QUERY_SCQ,
  IO_URING_QUERY_ZCRX,
  IORING_REGISTER_QUERY,
  IORING_REGISTER_SEND_MSG_RING,
} from "../sys/abi.ts";
import { requireFunction } from "../sys/check.ts";
import { check } from "../sys/errno.ts";
import { native, pointerTo } from "../sys/library.ts";
import { scratch } from "./registration-arguments.ts";
import { Sqe } from "./sqe.ts";

/** struct io_uring_query_opcode: numbers of opcodes, and all flags that the kernel knows. */
export interface QueryOpcodes {
  /** The kernel knows IORING_OP_* below this number. */
  requestOpcodes: number;
  /** The kernel knows IORING_REGISTER_* below this number. */
  registerOpcodes: number;
  /** IORING_FEAT_*, IORING_SETUP_*, IORING_ENTER_* and IOSQE_*. */
  featureFlags: number;
  setupFlags: number;
  enterFlags: number;
  sqeFlags: number;
  /** The kernel knows IO_URING_QUERY_* below this number. */
  queryOpcodes: number;
}

/**
 * struct io_uring_query_zcrx: the set-up parameters of zero-copy receives that the kernel allows.
 */
export interface QueryZcrx {
  registerFlags: number;
  areaFlags: number;
  controlOpcodes: number;
  features: number;
  refillHeaderBytes: number;
  refillHeaderAlignment: number;
}

/** struct io_uring_query_scq: the header before the entries of both queues. */
export interface QueryScq {
  headerBytes: number;
  headerAlignment: number;
}

/** sizeof(struct io_uring_query_hdr), and a size that is enough for every answer. */
const HEADER_BYTES = 40;
const ANSWER_BYTES = 64;

/**
 * io_uring_register_query for IO_URING_QUERY_OPCODES. It needs no ring, and makes none. Linux 6.18.
 */
export function queryOpcodes(): QueryOpcodes {
  const answer = query(IO_URING_QUERY_OPCODES);
  return {
    requestOpcodes: answer.readUInt32LE(0),
    registerOpcodes: answer.readUInt32LE(4),
    featureFlags: Number(answer.readBigUInt64LE(8)),
    setupFlags: Number(answer.readBigUInt64LE(16)),
    enterFlags: Number(answer.readBigUInt64LE(24)),
    sqeFlags: Number(answer.readBigUInt64LE(32)),
    queryOpcodes: answer.readUInt32LE(40),
  };
}

/** io_uring_register_query for IO_URING_QUERY_ZCRX. Linux 6.19; EOPNOTSUPP or EINVAL before. */
export function queryZcrx(): QueryZcrx {
  const answer = query(IO_URING_QUERY_ZCRX);
  return {
    registerFlags: Number(answer.readBigUInt64LE(0)),
    areaFlags: Number(answer.readBigUInt64LE(8)),
    controlOpcodes: answer.readUInt32LE(16),
    features: answer.readUInt32LE(20),
    refillHeaderBytes: answer.readUInt32LE(24),
    refillHeaderAlignment: answer.readUInt32LE(28),
  };
}

/** io_uring_register_query for IO_URING_QUERY_SCQ. Linux 6.19; EOPNOTSUPP or EINVAL before. */
export function queryScq(): QueryScq {
  const answer = query(IO_URING_QUERY_SCQ);
  return { headerBytes: Number(answer.readBigUInt64LE(0)), headerAlignment: Number(answer.readBigUInt64LE(8)) };
}

function query(operation: number): Buffer {
  using memory = scratch();
  const header = memory.allocate(HEADER_BYTES);
  const answer = memory.allocate(ANSWER_BYTES);
  header.writeU64(8, answer.address);
  header.buffer.writeUInt32LE(operation, 16);
  header.buffer.writeUInt32LE(ANSWER_BYTES, 20);
  check(native().rl_register(-1, IORING_REGISTER_QUERY, pointerTo(header.buffer), 0), "io_uring_register");
  check(header.buffer.readInt32LE(24), "io_uring_register");
  return Buffer.from(answer.buffer);
}

/**
 * io_uring_register_sync_msg. Puts a completion into a ring at once, from a thread without a ring:
 * `registerSyncMsg((sqe) => sqe.prepMsgRing(fd, 5, 1, 2))`. `prepare` gets an entry that belongs to
 * no ring. Only IORING_MSG_DATA can be sent this way.
 *
 * Errors: EINVAL for another operation, EOVERFLOW for a full ring, EBADFD for a disabled ring.
 * Linux 6.13.
 */
export function registerSyncMsg(prepare: (sqe: Sqe) => unknown): void {
  requireFunction("prepare", prepare);
  const words = new Uint32Array(16);
  prepare(new Sqe(words, 0));
  check(native().rl_register(-1, IORING_REGISTER_SEND_MSG_RING, pointerTo(words), 1), "io_uring_register");
}
