/**
 * One entry of the submission queue, written in place in the mapped ring.
 *
 * Names and arguments follow liburing's `io_uring_prep_*(3)`. Addresses are numbers (`RingMemory`,
 * `Mapping.address` plus an offset). They must lie outside the garbage-collected heap until the
 * last completion. Every prep function sets all 64 bytes. Flags and user data are zero until
 * `setFlags`, `setUserData` or `setData64`.
 *
 * The prep functions lie in prep-files.ts, prep-paths.ts, prep-sockets.ts and prep-events.ts.
 */
import { EventSqe } from "./prep-events.ts";

export class Sqe extends EventSqe {}
