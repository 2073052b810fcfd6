/**
 * `ringloop/ring`: io_uring itself, under liburing's names.
 *
 * @module ringloop/ring
 */
export * from "../sys/abi.ts";
export * from "../sys/linux.ts";
export { errnoName, SystemError } from "../sys/errno.ts";
export { LibraryError } from "../sys/library.ts";
export { Mapping } from "../sys/memory.ts";
export { Arena, type Chunk } from "./arena.ts";
export { BufRing } from "./buf-ring.ts";
export { BufferRing, type BufferRingOptions, RingIntegrityError } from "./buffer-ring.ts";
export { Cqe } from "./cqe.ts";
export { featureNames, getProbe, probeFeatures, type Features } from "./features.ts";
export { Probe } from "./probe.ts";
export type { BufferPiece, BufRingRegistration, Restriction, SyncCancel } from "./registration.ts";
export { Ring, type RingParams } from "./ring.ts";
export { RingMemory } from "./ring-memory.ts";
export { Sqe } from "./sqe.ts";
export { type MessageParts, Msghdr, RecvmsgOut, RoomForSockaddr, type SockaddrOptions } from "./messages.ts";
export { Region } from "./region.ts";
export { EpollEvents, Int32s, Iovec, OpenHow, Siginfo, Statx, Timespec } from "./structs.ts";
