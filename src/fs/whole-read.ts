/**
 * A file read whole by one chain: open, read, and a read that finds the end. Small files take one submission and one wait, without a descriptor and without
 * asking for their size.
 *
 * Guarantees: the file is closed with what is submitted next, which the promise does not wait for: there is no descriptor of it. What is no regular file (a pipe) is read once, from one open, to its end.
 */
import { statSync } from "node:fs";
import type { Chunk } from "../ring/arena.ts";
import { RingIntegrityError } from "../ring/buffer-ring.ts";
import { SystemError } from "../sys/errno.ts";
import { AT_FDCWD } from "../sys/linux.ts";
import { AFTER, DirectFile, isInterrupted, MOVE, OPEN, placePath } from "./direct-file.ts";

/** Of the chain's first read: larger files take more. */
const FIRST_BYTES = 12288;
/** Of its second, which finds the end of a small one. */
const SECOND_BYTES = 4096;
/** Of a file that does not say how large it is, and of one that has grown. */
const GROWTH_BYTES = 65536;
/** Of one read, so the kernel: MAX_RW_COUNT. */
const READ_BYTES_MAX = 0x7ffff000;

export class WholeRead extends DirectFile<Buffer> {
  /** The path lies where the first read puts its bytes, when the file is open. */
  protected place(): Chunk {
    const chunk = this.reactor.arena.allocate(FIRST_BYTES + SECOND_BYTES);
    placePath(this.path, chunk, 0);
    return chunk;
  }

  protected submit(): void {
    const { reactor, index, flags } = this;
    const { address } = this.chunk!;
    reactor.lane.reserve(3);
    this.expectFailure(reactor.lane.nextSqe().prepOpenatDirect(AT_FDCWD, address, flags, 0, index).link(), OPEN);
    // Hard: a short read would end the chain, and short is what it is to be.
    this.expect(reactor.lane.nextSqe().prepRead(index, address, FIRST_BYTES, -1).fixedFile().hardLink(), MOVE);
    this.expect(
      reactor.lane
        .nextSqe()
        .prepRead(index, address + FIRST_BYTES, SECOND_BYTES, -1)
        .fixedFile(),
      AFTER,
    );
  }

  protected arrived(): void {
    const { [MOVE]: first, [AFTER]: second } = this.results as [number, number, number];
    if (first > FIRST_BYTES || second > SECOND_BYTES)
      throw new RingIntegrityError(
        `completions read ${first} of ${FIRST_BYTES} bytes and ${second} of ${SECOND_BYTES}`,
      );
    const failed = [first, second].find((result) => result < 0 && !isInterrupted(result));
    const read = Math.max(first, 0);
    const more = Math.max(second, 0);
    if (failed !== undefined) {
      this.fail(new SystemError(-failed, "read"));
      this.close();
      return;
    }
    const { buffer } = this.chunk!;
    const bytes = Buffer.allocUnsafeSlow(read + more);
    buffer.copy(bytes, 0, 0, read);
    if (more > 0) buffer.copy(bytes, read, FIRST_BYTES, FIRST_BYTES + more);
    if (first === 0 || second === 0) {
      this.succeed(bytes);
      this.close();
      return;
    }
    void this.readRest(bytes, first === FIRST_BYTES).then(
      (whole) => this.succeed(whole),
      (error: unknown) => this.fail(error),
    );
  }

  /**
   * Goes on behind what was read, into memory of the size that the file has now, up to a read that finds the end. `isFull`: the first read had all
   * that it asked for.
   */
  private async readRest(start: Buffer, isFull: boolean): Promise<Buffer> {
    let whole = start;
    try {
      const size = this.sizeByName();
      const isRegular = size >= 0;
      // A first read that was short without being at the end may have met an error behind a part, and the second began anew.
      let total = isRegular && !isFull ? 0 : start.length;
      const grow = (bytes: number): void => {
        const larger = Buffer.allocUnsafeSlow(bytes);
        whole.copy(larger, 0, 0, total);
        whole = larger;
      };
      if (size > whole.length) {
        grow(size);
        // The end is looked for at once: mostly it is where the name says.
        const rest = this.read(whole.subarray(total, total + READ_BYTES_MAX), total);
        const [bytesRead, behind] = await Promise.all([rest, this.read(Buffer.allocUnsafeSlow(1), size)]);
        total += bytesRead;
        if (total === size && behind === 0) return whole;
        if (bytesRead === 0) return exactly(whole, total);
      }
      for (;;) {
        const isRoom = total < whole.length;
        const into = isRoom ? whole.subarray(total, total + READ_BYTES_MAX) : Buffer.allocUnsafeSlow(GROWTH_BYTES);
        const bytesRead = await this.read(into, isRegular ? total : -1);
        if (bytesRead === 0) return total === whole.length ? whole : exactly(whole, total);
        if (!isRoom) {
          grow(Math.max(total + bytesRead, total * 2)); // It is larger than its name said.
          into.copy(whole, total, 0, bytesRead);
        }
        total += bytesRead;
      }
    } finally {
      this.close();
    }
  }

  /** How large the file of that name is now, which may be another by now; -1 for what is no regular file. */
  private sizeByName(): number {
    try {
      const stats = statSync(this.path);
      return stats.isFile() ? stats.size : -1;
    } catch {
      return -1;
    }
  }
}

/** Nothing behind what was read is handed out: the memory was somebody's before. */
function exactly(bytes: Buffer, length: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(length);
  bytes.copy(copy, 0, 0, length);
  return copy;
}
