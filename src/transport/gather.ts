/**
 * One send of several chunks: the msghdr and the iovecs of sendmsg(2). They are in a separate chunk
 * that lives as long as the send.
 */
import { IOVEC_BYTES, MSGHDR_BYTES } from "../sys/abi.ts";
import type { Arena, Chunk } from "../ring/arena.ts";
import { writeU64 } from "../ring/region.ts";

/** Highest number of chunks in one send. Further chunks wait for the next send. */
const CHUNKS_MAX = 16;

export interface Gathered {
  /**
   * The message: its chunk's address is that of the msghdr. The caller frees it after the send's
   * completion.
   */
  header: Chunk;
  bytes: number;
}

/** Gathers the unsent bytes of `first` and of the chunks behind it. */
export function gather(arena: Arena, first: Chunk): Gathered {
  const header = arena.allocate(MSGHDR_BYTES + CHUNKS_MAX * IOVEC_BYTES);
  const { buffer } = header;
  let bytes = 0;
  let count = 0;
  for (let chunk: Chunk | null = first; chunk !== null && count < CHUNKS_MAX; chunk = chunk.next) {
    const { unsent } = chunk;
    const at = MSGHDR_BYTES + count++ * IOVEC_BYTES;
    writeU64(buffer, at, chunk.address + chunk.sent);
    writeU64(buffer, at + 8, unsent);
    bytes += unsent;
  }
  // struct msghdr { name, namelen, iov, iovlen, control, controllen, flags }
  buffer.fill(0, 0, MSGHDR_BYTES);
  writeU64(buffer, 16, header.address + MSGHDR_BYTES);
  buffer.writeUInt32LE(count, 24);
  return { header, bytes };
}
