/**
 * cp(1) on a ring. Each block is a read and a write that are linked, so this program does nothing
 * between them. The buffers and both files are registered. With --direct, the bytes do not go
 * through the page cache (O_DIRECT). A file is not copied over itself, by whatever name. A source
 * without a size, such as a pipe or a file of /proc, is read to its end.
 *
 *   bun examples/ring-cp.ts [--direct] FROM TO
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync } from "node:fs";
import { errnoName, Ring, RingMemory, type Sqe } from "../src/ring/index.ts";

const BLOCK_BYTES = 262144;
const DEPTH = 8;
/** With O_DIRECT, positions, lengths and addresses are multiples of this number. */
const ALIGNMENT_BYTES = 4096;
/**
 * Indices of the registered files. They also tell which of a block's two operations a completion
 * belongs to.
 */
const FROM = 0;
const TO = 1;

interface Block {
  offset: number;
  bytes: number;
  completions: number;
  isShort: boolean;
}

const args = process.argv.slice(2);
const isDirect = args[0] === "--direct";
const [from, to] = isDirect ? args.slice(1) : args;
if (from === undefined || to === undefined) throw new Error("usage: ring-cp.ts [--direct] FROM TO");

const flags = isDirect ? constants.O_DIRECT : 0;
const source = openSync(from, constants.O_RDONLY | flags);
const target = openSync(to, constants.O_WRONLY | constants.O_CREAT | flags);
const stats = fstatSync(source);
const { size, dev, ino } = stats;
const old = fstatSync(target);
if (old.dev === dev && old.ino === ino) throw new Error(`${from} and ${to} are the same file`);
// Emptied only now: another name of the source would be emptied, too. A device has no length.
if (old.isFile()) ftruncateSync(target);
/**
 * Bytes that are copied in blocks. With O_DIRECT, the rest is smaller than one block of the device.
 */
const wholeBytes = isDirect ? Math.floor(size / ALIGNMENT_BYTES) * ALIGNMENT_BYTES : size;

using ring = Ring.queueInit(2 * DEPTH);
using memory = new RingMemory(DEPTH * BLOCK_BYTES);
const buffers = Array.from({ length: DEPTH }, () => memory.allocate(BLOCK_BYTES, ALIGNMENT_BYTES));
ring.registerBuffers(buffers);
ring.registerFiles([source, target]);

const blocks: (Block | undefined)[] = Array.from({ length: DEPTH });

/** Submits both operations of a block. The low half of their user data is the block's slot. */
function copy(slot: number, block: Block): void {
  blocks[slot] = block;
  const { offset, bytes } = block;
  const { address } = buffers[slot]!;
  ring.getSqe()!.prepReadFixed(FROM, address, bytes, offset, slot).fixedFile().link().setUserData(slot, FROM);
  ring.getSqe()!.prepWriteFixed(TO, address, bytes, offset, slot).fixedFile().setUserData(slot, TO);
}

/**
 * Counts the two completions of a block. A short read or write ends the chain, and the operation
 * linked to it gets ECANCELED; then the block is copied again. Returns the number of bytes of the
 * file that are now copied.
 */
function completed(slot: number, which: number, res: number): number {
  const block = blocks[slot]!;
  if (res !== block.bytes) block.isShort = true;
  if (res < 0 && errnoName(-res) !== "ECANCELED") throw new Error(`${which === FROM ? from : to}: ${errnoName(-res)}`);
  if (res === 0) throw new Error(`${from}: it has become shorter`);
  if (++block.completions < 2) return 0;
  blocks[slot] = undefined;
  if (!block.isShort) return block.bytes;
  copy(slot, { ...block, completions: 0, isShort: false });
  return 0;
}

function copyBlocks(total: number): void {
  let asked = 0;
  for (let left = total; left > 0;) {
    for (let slot = 0; slot < DEPTH && asked < total; slot++) {
      if (blocks[slot] !== undefined) continue;
      const bytes = Math.min(BLOCK_BYTES, total - asked);
      copy(slot, { offset: asked, bytes, completions: 0, isShort: false });
      asked += bytes;
    }
    ring.submitAndWait(1);
    const seen = ring.peekBatchCqe(ring.cqReady);
    for (const { userDataLow, userDataHigh, res } of seen) left -= completed(userDataLow, userDataHigh, res);
    ring.cqAdvance(seen.length);
  }
}

/**
 * Copies the rest of a file with O_DIRECT. The read of a whole block ends at the end of the file.
 * The write is a whole block, which is then cut.
 */
function copyRest(offset: number): void {
  const { address } = buffers[0]!;
  const once = (path: string, expected: number, prepare: (sqe: Sqe) => Sqe): void => {
    prepare(ring.getSqe()!).fixedFile();
    ring.submitAndWait(1);
    const { res } = ring.peekCqe()!;
    ring.cqeSeen();
    if (res !== expected) throw new Error(`${path}: ${res < 0 ? errnoName(-res) : `${res} of ${expected} bytes`}`);
  };
  once(from!, size - offset, (sqe) => sqe.prepReadFixed(FROM, address, ALIGNMENT_BYTES, offset, 0));
  once(to!, ALIGNMENT_BYTES, (sqe) => sqe.prepWriteFixed(TO, address, ALIGNMENT_BYTES, offset, 0));
  ftruncateSync(target, size);
}

/** Copies a source that does not know its size: block by block, up to a read that finds the end. */
function copyToEnd(): number {
  const { address } = buffers[0]!;
  const run = (path: string, prepare: (sqe: Sqe) => Sqe): number => {
    prepare(ring.getSqe()!).fixedFile();
    ring.submitAndWait(1);
    const { res } = ring.peekCqe()!;
    ring.cqeSeen();
    if (res < 0) throw new Error(`${path}: ${errnoName(-res)}`);
    return res;
  };
  for (let total = 0; ;) {
    const bytes = run(from!, (sqe) => sqe.prepReadFixed(FROM, address, BLOCK_BYTES, -1, 0));
    if (bytes === 0) return total;
    for (let done = 0; done < bytes;) {
      const left = bytes - done;
      done += run(to!, (sqe) => sqe.prepWriteFixed(TO, address + done, left, -1, 0));
    }
    total += bytes;
  }
}

let copied = size;
if (!stats.isFile() || size === 0) copied = copyToEnd();
else {
  copyBlocks(wholeBytes);
  if (wholeBytes < size) copyRest(wholeBytes);
}
closeSync(source);
closeSync(target);
console.log(`${copied} bytes copied`);
