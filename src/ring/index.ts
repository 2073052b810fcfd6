/** `ringloop/ring`: io_uring itself, under liburing's names. */
export * from "../sys/abi.ts";
export { errnoName, SystemError } from "../sys/errno.ts";
export { LibraryError } from "../sys/library.ts";
export { Mapping } from "../sys/memory.ts";
export { Arena, type Chunk } from "./arena.ts";
export { BufferRing, type BufferRingOptions, RingIntegrityError } from "./buffer-ring.ts";
export { Cqe } from "./cqe.ts";
export { featureNames, probeFeatures, type Features } from "./features.ts";
export { Ring, type RingParams } from "./ring.ts";
export { Sqe } from "./sqe.ts";
