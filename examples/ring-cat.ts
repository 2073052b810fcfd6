/**
 * cat(1) on a ring: several reads of a file are in flight at once, and their bytes are printed in
 * order.
 *
 *   bun examples/ring-cat.ts FILE...     - is standard input
 */
import { closeSync, fstatSync, openSync, writeSync } from "node:fs";
import { errnoName, type Region, Ring, RingMemory } from "../src/ring/index.ts";

const BLOCK_BYTES = 65536;
const DEPTH = 8;

const ring = Ring.queueInit(DEPTH);
const memory = new RingMemory(DEPTH * BLOCK_BYTES);
const blocks = Array.from({ length: DEPTH }, () => memory.allocate(BLOCK_BYTES));

function print(block: Region, bytes: number): void {
  for (let from = 0; from < bytes;) from += writeSync(1, block.buffer, from, bytes - from);
}

/**
 * Prints a regular file, with up to `DEPTH` reads in flight. The user data of a completion is the
 * number of its block.
 */
function catFile(fd: number, size: number): void {
  const count = Math.ceil(size / BLOCK_BYTES);
  const results = new Map<number, number>();
  let asked = 0;
  for (let next = 0; next < count; next++) {
    for (; asked < count && asked < next + DEPTH; asked++)
      ring
        .getSqe()!
        .prepRead(fd, blocks[asked % DEPTH]!.address, BLOCK_BYTES, asked * BLOCK_BYTES)
        .setData(asked);
    ring.submit();
    while (!results.has(next)) {
      const { data, res } = ring.waitCqe()!;
      ring.cqeSeen();
      results.set(data, res);
    }
    print(blocks[next % DEPTH]!, checked(results.get(next)!));
    results.delete(next);
  }
}

/** Prints a pipe or a terminal, with one read after another. */
function catStream(fd: number): void {
  for (;;) {
    ring.getSqe()!.prepRead(fd, blocks[0]!.address, BLOCK_BYTES, -1);
    ring.submitAndWait(1);
    const bytes = checked(ring.peekCqe()!.res);
    ring.cqeSeen();
    if (bytes === 0) return;
    print(blocks[0]!, bytes);
  }
}

function checked(res: number): number {
  if (res < 0) throw new Error(`read: ${errnoName(-res)}`);
  return res;
}

for (const path of process.argv.slice(2)) {
  const fd = path === "-" ? 0 : openSync(path, "r");
  const stat = fstatSync(fd);
  // A file of /proc has size 0, and is read to its end.
  if (stat.isFile() && stat.size > 0) catFile(fd, stat.size);
  else catStream(fd);
  if (fd !== 0) closeSync(fd);
}
ring.queueExit();
memory.release();
