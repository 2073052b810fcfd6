/** The memory of a ring that counts against RLIMIT_MEMLOCK. */
import { BUF_BYTES, CQE_BYTES, SQE_BYTES } from "../sys/abi.ts";
import { PAGE_BYTES } from "../sys/memory.ts";

/** sizeof(struct io_rings) without its entries. */
const HEADER_BYTES = 64;

/**
 * Returns the bytes of a ring of these sizes with one ring of provided buffers. Counts as Linux
 * 6.18 does: each mapping in whole pages.
 */
export function lockedBytesOf(sizes: { sqEntries: number; cqEntries: number; receiveBuffersMax: number }): number {
  const { sqEntries, cqEntries, receiveBuffersMax } = sizes;
  const mappings = [
    HEADER_BYTES + cqEntries * CQE_BYTES + sqEntries * 4,
    sqEntries * SQE_BYTES,
    receiveBuffersMax * BUF_BYTES,
  ];
  return mappings.reduce((sum, bytes) => sum + Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES, 0);
}
