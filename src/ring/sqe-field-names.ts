/**
 * Argument names of the prep functions for the fields of an entry, by opcode. Error messages use
 * them.
 */
import * as abi from "../sys/abi.ts";

export interface FieldNames {
  fd: string;
  address: string;
  length: string;
  offset: string;
  opFlags: string;
}

/** Names for `prep`, which accepts any opcode. */
export const plainNames: FieldNames = {
  fd: "fd",
  address: "address",
  length: "length",
  offset: "offset",
  opFlags: "opFlags",
};

const usual: FieldNames = { ...plainNames, length: "bytes", opFlags: "flags" };

const vector = { length: "count" };
const xattr = { address: "name", offset: "value" };
const message = { address: "message" };
const twoPaths = { fd: "oldDirectoryFd", address: "oldPath", length: "newDirectoryFd", offset: "newPath" };
const onPath = { fd: "directoryFd", address: "path" };

const others: Record<number, Partial<FieldNames>> = {
  [abi.IORING_OP_READV]: vector,
  [abi.IORING_OP_WRITEV]: vector,
  [abi.IORING_OP_READV_FIXED]: vector,
  [abi.IORING_OP_WRITEV_FIXED]: vector,
  [abi.IORING_OP_FALLOCATE]: { address: "bytes", length: "mode" },
  [abi.IORING_OP_FTRUNCATE]: { offset: "bytes" },
  [abi.IORING_OP_FADVISE]: { opFlags: "advice" },
  [abi.IORING_OP_MADVISE]: { opFlags: "advice" },
  [abi.IORING_OP_URING_CMD]: { offset: "command" },
  [abi.IORING_OP_SPLICE]: { fd: "fdOut", address: "offsetIn", offset: "offsetOut" },
  [abi.IORING_OP_TEE]: { fd: "fdOut" },
  [abi.IORING_OP_FIXED_FD_INSTALL]: { fd: "fileIndex" },
  [abi.IORING_OP_OPENAT]: { ...onPath, length: "mode" },
  [abi.IORING_OP_OPENAT2]: { ...onPath, offset: "how" },
  [abi.IORING_OP_STATX]: { ...onPath, length: "mask", offset: "statx" },
  [abi.IORING_OP_UNLINKAT]: onPath,
  [abi.IORING_OP_MKDIRAT]: { ...onPath, length: "mode" },
  [abi.IORING_OP_RENAMEAT]: twoPaths,
  [abi.IORING_OP_LINKAT]: twoPaths,
  [abi.IORING_OP_SYMLINKAT]: { fd: "directoryFd", address: "target", offset: "linkPath" },
  [abi.IORING_OP_GETXATTR]: xattr,
  [abi.IORING_OP_SETXATTR]: xattr,
  [abi.IORING_OP_FGETXATTR]: xattr,
  [abi.IORING_OP_FSETXATTR]: xattr,
  [abi.IORING_OP_SOCKET]: { fd: "domain", length: "protocol", offset: "type" },
  [abi.IORING_OP_BIND]: { offset: "bytes" },
  [abi.IORING_OP_LISTEN]: { length: "backlog" },
  [abi.IORING_OP_ACCEPT]: { offset: "addressLength" },
  [abi.IORING_OP_CONNECT]: { offset: "bytes" },
  [abi.IORING_OP_SENDMSG]: message,
  [abi.IORING_OP_SENDMSG_ZC]: message,
  [abi.IORING_OP_RECVMSG]: message,
  [abi.IORING_OP_SHUTDOWN]: { length: "how" },
  [abi.IORING_OP_POLL_ADD]: { opFlags: "events" },
  [abi.IORING_OP_POLL_REMOVE]: { length: "flags", opFlags: "events" },
  [abi.IORING_OP_TIMEOUT]: { offset: "completions" },
  [abi.IORING_OP_TIMEOUT_REMOVE]: { offset: "address" },
  [abi.IORING_OP_EPOLL_CTL]: { fd: "epollFd", address: "event", length: "operation", offset: "fd" },
  [abi.IORING_OP_EPOLL_WAIT]: { fd: "epollFd", address: "events", length: "count" },
  [abi.IORING_OP_MSG_RING]: { length: "length" },
  [abi.IORING_OP_FUTEX_WAIT]: { fd: "futexFlags", offset: "value" },
  [abi.IORING_OP_FUTEX_WAKE]: { fd: "futexFlags", offset: "count" },
  [abi.IORING_OP_FUTEX_WAITV]: { address: "waiters", length: "count" },
  [abi.IORING_OP_WAITID]: { fd: "id", length: "idType", offset: "info" },
  [abi.IORING_OP_PIPE]: { address: "fds" },
  [abi.IORING_OP_FILES_UPDATE]: { address: "fds", length: "count" },
  [abi.IORING_OP_PROVIDE_BUFFERS]: { fd: "count", offset: "bid" },
  [abi.IORING_OP_REMOVE_BUFFERS]: { fd: "count" },
};

export function fieldNames(opcode: number): FieldNames {
  return { ...usual, ...others[opcode] };
}
