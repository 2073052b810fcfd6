/**
 * Reads a whole file by one chain: open, read, and a read that finds the end. A small file takes
 * one submission and one wait. It needs no descriptor, and nobody asks for its size.
 *
 * Guarantees: the next submission closes the file. The promise does not wait for that, because
 * there is no descriptor. A file that is not regular (a pipe) is opened once and read once, to its
 * end.
 */
import { statSync } from "node:fs";
import type { Chunk } from "../ring/arena.ts";
import { RingIntegrityError } from "../ring/buffer-ring.ts";
import { SystemError } from "../sys/errno.ts";
import { AT_FDCWD } from "../sys/linux.ts";
import { MODE_DEFAULT } from "./arguments.ts";
import { AFTER, DirectFile, isInterrupted, MOVE, OPEN, placePath } from "./direct-file.ts";

/** Bytes of the chain's first read. Larger files need more reads. */
const FIRST_BYTES = 12288;
/** Bytes of its second read, which finds the end of a small file. */
const SECOND_BYTES = 4096;
/** Bytes of a piece for a file that does not know its size, or has grown. */
const GROWTH_BYTES = 65536;
/** Largest number of bytes of one read in the kernel: MAX_RW_COUNT. */
const READ_BYTES_MAX = 0x7ffff000;

export class WholeRead extends DirectFile<Buffer> {
  /** The path lies in the room of the first read, which starts only after the open. */
  protected place(): Chunk {
    const chunk = this.reactor.arena.allocate(FIRST_BYTES + SECOND_BYTES);
    placePath(this.path, chunk, 0);
    return chunk;
  }

  protected submit(): void {
    const { reactor, index, flags } = this;
    const { address } = this.chunk!;
    reactor.lane.reserve(3);
    this.expectFailure(
      reactor.lane.nextSqe().prepOpenatDirect(AT_FDCWD, address, flags, MODE_DEFAULT, index).link(),
      OPEN,
    );
    // A hard link, because a short read would end the chain, and this read is expected to be short.
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
   * Reads the rest of the file into memory of the file's present size, up to a read that finds the
   * end. `isFull`: the first read has filled its room.
   */
  private async readRest(start: Buffer, isFull: boolean): Promise<Buffer> {
    let whole = start;
    try {
      const size = this.sizeByName();
      const isRegular = size >= 0;
      // A first read that is short before the end may have met an error after a part of the bytes.
      // The second read then began at the same position.
      let total = isRegular && !isFull ? 0 : start.length;
      const grow = (bytes: number): void => {
        const larger = Buffer.allocUnsafeSlow(bytes);
        whole.copy(larger, 0, 0, total);
        whole = larger;
      };
      if (size > whole.length) {
        grow(size);
        // Looks for the end at the same time. The end is usually at that size.
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
          // The file is larger than the size by its name.
          grow(Math.max(total + bytesRead, total * 2));
          into.copy(whole, total, 0, bytesRead);
        }
        total += bytesRead;
      }
    } finally {
      this.close();
    }
  }

  /**
   * Returns the present size of the file with this name, which may be another file by now; -1 if it
   * is not a regular file.
   */
  private sizeByName(): number {
    try {
      const stats = statSync(this.path);
      return stats.isFile() ? stats.size : -1;
    } catch {
      return -1;
    }
  }
}

/**
 * Returns a copy without the bytes after `length`, because the memory may have another owner's old
 * content there.
 */
function exactly(bytes: Buffer, length: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(length);
  bytes.copy(copy, 0, 0, length);
  return copy;
}
