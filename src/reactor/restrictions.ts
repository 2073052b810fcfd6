/**
 * Restricts a ring to the operations, entry flags and registrations that ringloop uses, for the
 * ring's whole life (io_uring_register_restrictions(3)). The kernel answers anything else with
 * EACCES.
 *
 * The list cannot grow once the ring is enabled. So it contains what servers, sockets, files and
 * the promise layer may need later. A new operation in ringloop must be added here.
 */
import {
  IORING_OP_ACCEPT,
  IORING_OP_ASYNC_CANCEL,
  IORING_OP_BIND,
  IORING_OP_CLOSE,
  IORING_OP_CONNECT,
  IORING_OP_FADVISE,
  IORING_OP_FALLOCATE,
  IORING_OP_FGETXATTR,
  IORING_OP_FSETXATTR,
  IORING_OP_FSYNC,
  IORING_OP_FTRUNCATE,
  IORING_OP_FUTEX_WAIT,
  IORING_OP_FUTEX_WAKE,
  IORING_OP_GETXATTR,
  IORING_OP_LINK_TIMEOUT,
  IORING_OP_LINKAT,
  IORING_OP_LISTEN,
  IORING_OP_MKDIRAT,
  IORING_OP_MSG_RING,
  IORING_OP_NOP,
  IORING_OP_OPENAT,
  IORING_OP_OPENAT2,
  IORING_OP_PIPE,
  IORING_OP_POLL_ADD,
  IORING_OP_POLL_REMOVE,
  IORING_OP_READ,
  IORING_OP_READ_MULTISHOT,
  IORING_OP_READV,
  IORING_OP_RECV,
  IORING_OP_RECVMSG,
  IORING_OP_RENAMEAT,
  IORING_OP_SEND,
  IORING_OP_SEND_ZC,
  IORING_OP_SENDMSG,
  IORING_OP_SETXATTR,
  IORING_OP_SHUTDOWN,
  IORING_OP_SOCKET,
  IORING_OP_SPLICE,
  IORING_OP_STATX,
  IORING_OP_SYMLINKAT,
  IORING_OP_SYNC_FILE_RANGE,
  IORING_OP_TEE,
  IORING_OP_TIMEOUT,
  IORING_OP_TIMEOUT_REMOVE,
  IORING_OP_UNLINKAT,
  IORING_OP_WAITID,
  IORING_OP_WRITE,
  IORING_OP_WRITEV,
  IORING_REGISTER_EVENTFD,
  IORING_REGISTER_FILES2,
  IORING_REGISTER_PBUF_RING,
  IORING_REGISTER_RING_FDS,
  IORING_REGISTER_SYNC_CANCEL,
  IORING_RESTRICTION_REGISTER_OP,
  IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
  IORING_RESTRICTION_SQE_OP,
  IORING_UNREGISTER_PBUF_RING,
  IORING_UNREGISTER_RING_FDS,
  IOSQE_BUFFER_SELECT,
  IOSQE_CQE_SKIP_SUCCESS,
  IOSQE_FIXED_FILE,
  IOSQE_IO_HARDLINK,
  IOSQE_IO_LINK,
} from "../sys/abi.ts";
import type { Restriction } from "../ring/registration.ts";
import type { Ring } from "../ring/ring.ts";

const operations = [
  // The turn, and cancellation.
  IORING_OP_POLL_ADD,
  IORING_OP_POLL_REMOVE,
  IORING_OP_TIMEOUT,
  IORING_OP_TIMEOUT_REMOVE,
  IORING_OP_LINK_TIMEOUT,
  IORING_OP_ASYNC_CANCEL,
  // Sockets.
  IORING_OP_SOCKET,
  IORING_OP_BIND,
  IORING_OP_LISTEN,
  IORING_OP_ACCEPT,
  IORING_OP_CONNECT,
  IORING_OP_RECV,
  IORING_OP_RECVMSG,
  IORING_OP_SEND,
  IORING_OP_SENDMSG,
  IORING_OP_SEND_ZC,
  IORING_OP_SHUTDOWN,
  // Files.
  IORING_OP_CLOSE,
  IORING_OP_READ,
  IORING_OP_READ_MULTISHOT,
  IORING_OP_READV,
  IORING_OP_WRITE,
  IORING_OP_WRITEV,
  IORING_OP_FSYNC,
  IORING_OP_SYNC_FILE_RANGE,
  IORING_OP_FALLOCATE,
  IORING_OP_FTRUNCATE,
  IORING_OP_FADVISE,
  IORING_OP_SPLICE,
  IORING_OP_TEE,
  // Names in the file system.
  IORING_OP_OPENAT,
  IORING_OP_OPENAT2,
  IORING_OP_STATX,
  IORING_OP_RENAMEAT,
  IORING_OP_UNLINKAT,
  IORING_OP_MKDIRAT,
  IORING_OP_SYMLINKAT,
  IORING_OP_LINKAT,
  IORING_OP_GETXATTR,
  IORING_OP_SETXATTR,
  IORING_OP_FGETXATTR,
  IORING_OP_FSETXATTR,
  // Other operations of the promise layer, and entries that were not prepared (Sqe.disarm).
  IORING_OP_NOP,
  IORING_OP_WAITID,
  IORING_OP_PIPE,
  IORING_OP_FUTEX_WAIT,
  IORING_OP_FUTEX_WAKE,
  IORING_OP_MSG_RING,
];

/**
 * UDP sockets register their buffers when the first socket opens, and ringloop/fs its file slots on
 * first use. The others are for setting up and for closing.
 */
const registrations = [
  IORING_REGISTER_EVENTFD,
  IORING_REGISTER_FILES2,
  IORING_REGISTER_PBUF_RING,
  IORING_UNREGISTER_PBUF_RING,
  IORING_REGISTER_RING_FDS,
  IORING_UNREGISTER_RING_FDS,
  IORING_REGISTER_SYNC_CANCEL, // Used by the end of the thread: see owned.ts.
];

const flags = IOSQE_BUFFER_SELECT | IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;

/**
 * Restricts a ring that was set up with IORING_SETUP_R_DISABLED, and enables it. Throws
 * SystemError.
 */
export function restrictAndEnable(ring: Ring): void {
  const { lastOp } = ring.getProbe();
  // An older kernel refuses a list that contains an operation unknown to it.
  const known = operations.filter((opcode) => opcode <= lastOp);
  const restrictions: Restriction[] = [
    ...known.map((value) => ({ type: IORING_RESTRICTION_SQE_OP, value })),
    ...registrations.map((value) => ({ type: IORING_RESTRICTION_REGISTER_OP, value })),
    { type: IORING_RESTRICTION_SQE_FLAGS_ALLOWED, value: flags },
  ];
  ring.registerRestrictions(restrictions);
  ring.enableRings();
}
