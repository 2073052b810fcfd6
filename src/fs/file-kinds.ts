/** Kinds of operations on files with the values of node:fs/promises. */
import { owned } from "../sys/owned.ts";
import { giveBack, placeRoom } from "../operations/operation-data.ts";
import { openKind, statKind } from "../operations/operation-paths.ts";
import type { Kind } from "../operations/operation.ts";
import type { ReadResult } from "./backend.ts";
import { BigIntStats, Stats } from "./stats.ts";

/** Opens a file. The thread owns the descriptor until it is closed. */
export const ownedOpen: Kind<number> = {
  ...openKind,
  finish(_operation, fd) {
    owned().add(fd);
    return fd;
  },
};

/** A read with the value of Node's FileHandle.read. */
export const handleRead: Kind<ReadResult<NodeJS.ArrayBufferView>> = {
  syscall: "read",
  place: placeRoom,
  prepare: (sqe, { fd, address, lent, position }) => void sqe.prepRead(fd, address, lent, position),
  moves: true,
  finish(operation, bytesRead) {
    const view = operation.data as NodeJS.ArrayBufferView;
    giveBack(operation.chunk!, bytesRead, view, operation.offset);
    return { bytesRead, buffer: view };
  },
};

export const adoptedRead: Kind<ReadResult<Buffer>> = {
  syscall: "read",
  place(operation) {
    operation.address = operation.adopt(operation.data as Buffer).address;
    operation.lent = operation.length;
  },
  prepare: (sqe, { fd, address, lent, position }) => void sqe.prepRead(fd, address, lent, position),
  moves: true,
  finish: (operation, bytesRead) => ({ bytesRead, buffer: operation.data as Buffer }),
};

/** Kinds by system call, and by numbers or BigInts. */
export const statKinds = { stat: statKindsOf("stat"), lstat: statKindsOf("lstat"), fstat: statKindsOf("fstat") };

function statKindsOf(syscall: string): { numbers: Kind<Stats>; bigints: Kind<BigIntStats> } {
  return {
    numbers: statKind(syscall, (statx) => new Stats(statx)),
    bigints: statKind(syscall, (statx) => new BigIntStats(statx)),
  };
}
