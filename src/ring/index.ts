/**
 * `ringloop/ring`: io_uring itself, under liburing's names.
 *
 * @module ringloop/ring
 */
export * from "../sys/abi.ts";
export * from "../sys/linux.ts";
export * from "../sys/socket-abi.ts";
export { errnoName, SystemError } from "../sys/errno.ts";
export { LibraryError } from "../sys/library.ts";
export { Mapping } from "../sys/memory.ts";
export { Arena, type Chunk } from "./arena.ts";
export { BufRing } from "./buf-ring.ts";
export { BufferRing, type BufferRingOptions, RingIntegrityError } from "./buffer-ring.ts";
export {
  controlSpace,
  type ControlMessage,
  type Credentials,
  credentialsOf,
  decodeControl,
  encodeControl,
  groBytesOf,
  hardwareTimestampOf,
  rightsOf,
  scmCredentials,
  scmRights,
  timestampOf,
  udpSegment,
} from "./control-messages.ts";
export { Cqe } from "./cqe.ts";
export {
  epollCreate,
  eventfd,
  inotifyAddWatch,
  type InotifyEvent,
  inotifyEvents,
  inotifyInit,
  memfdCreate,
  pidfdOpen,
  pipe2,
  socketpair,
  timerfdCreate,
  timerfdGettime,
  timerfdSettime,
  type TimerTimes,
} from "./descriptors.ts";
export { featureNames, getProbe, probeFeatures, type Features } from "./features.ts";
export { Probe } from "./probe.ts";
export type { BufferPiece, BufRingRegistration, Restriction, SyncCancel } from "./registration.ts";
export type { Napi } from "./registration-waits.ts";
export { Ring, type RingParams } from "./ring.ts";
export { RingMemory } from "./ring-memory.ts";
export {
  queryOpcodes,
  type QueryOpcodes,
  queryScq,
  type QueryScq,
  queryZcrx,
  type QueryZcrx,
  registerSyncMsg,
} from "./ringless.ts";
export { Sqe } from "./sqe.ts";
export {
  type MessageParts,
  Msghdr,
  type PeerAddress,
  RecvmsgOut,
  RoomForSockaddr,
  type SockaddrOptions,
} from "./messages.ts";
export { Region } from "./region.ts";
export { EpollEvents, Int32s, Iovec, OpenHow, Siginfo, Statx, Timespec, WaitArguments } from "./structs.ts";
