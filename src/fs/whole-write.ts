/**
 * Writes a whole file by one chain: open, write, cut to the written length, close. It takes one
 * submission and one wait. For data larger than a chunk of memory, the chain has the first two
 * entries, and the rest follows piece by piece.
 *
 * Guarantees: the file is closed when the promise is settled. As in Bun, the old contents are
 * overwritten, and then cut off after the end. With O_TRUNC, ext4 would write the file to the disk
 * at once.
 */
import { constants } from "node:fs";
import { copyIn } from "../operations/operation-data.ts";
import type { OperatingReactor } from "../operations/operating-reactor.ts";
import { type Chunk, CHUNK_BYTES_MAX } from "../ring/arena.ts";
import { RingIntegrityError } from "../ring/buffer-ring.ts";
import { EINVAL, EIO, SystemError } from "../sys/errno.ts";
import { AT_FDCWD } from "../sys/linux.ts";
import type { Path } from "./arguments.ts";
import {
  AFTER,
  CLOSE,
  DirectFile,
  isInterrupted,
  MOVE,
  OPEN,
  pathBytesMax,
  placePath,
  SUCCESS,
} from "./direct-file.ts";
import type { DirectFiles } from "./direct-files.ts";

const { O_TRUNC, O_EXCL } = constants;

export class WholeWrite extends DirectFile<void> {
  private readonly view: NodeJS.ArrayBufferView;
  private readonly length: number;
  private readonly mode: number;
  private readonly isCut: boolean;
  /** Bytes of the chain's write. */
  private readonly first: number;
  /** Prepares to write the first `length` bytes of a view. */
  constructor(
    reactor: OperatingReactor,
    files: DirectFiles,
    index: number,
    path: Path,
    flags: number,
    mode: number,
    view: NodeJS.ArrayBufferView,
    length: number,
  ) {
    super(reactor, files, index, path, flags & ~O_TRUNC);
    this.view = view;
    this.length = length;
    this.mode = mode;
    this.first = Math.min(length, CHUNK_BYTES_MAX - pathBytesMax(path));
    // A file that must not exist before is empty.
    this.isCut = (flags & O_TRUNC) !== 0 && (flags & O_EXCL) === 0;
  }

  protected place(): Chunk {
    const { view, first } = this;
    const chunk = this.reactor.arena.allocate(first + pathBytesMax(this.path));
    try {
      copyIn(chunk, view, 0, first);
      placePath(this.path, chunk, first);
    } catch (error) {
      this.reactor.arena.free(chunk);
      throw error;
    }
    return chunk;
  }

  protected submit(): void {
    const { reactor, index, first, length, flags, mode } = this;
    const { address } = this.chunk!;
    reactor.lane.reserve(4);
    this.expectFailure(
      reactor.lane
        .nextSqe()
        .prepOpenatDirect(AT_FDCWD, address + first, flags, mode, index)
        .link(),
      OPEN,
    );
    const write = reactor.lane.nextSqe().prepWrite(index, address, first, 0).fixedFile();
    if (first < length) return this.expect(write, MOVE);
    this.expectFailure(write.link(), MOVE);
    // A hard link, so that a file without a length (a pipe, a device) is closed, too. The entry has
    // its completion, because the kernel does not count its error as a failure.
    if (this.isCut) this.expect(reactor.lane.nextSqe().prepFtruncate(index, length).fixedFile().hardLink(), AFTER);
    this.expect(reactor.lane.nextSqe().prepCloseDirect(index), CLOSE);
  }

  protected arrived(): void {
    const { first, length, isCut, results } = this;
    const written = results[MOVE] === SUCCESS ? first : results[MOVE]!;
    if (written > first) throw new RingIntegrityError(`completion writes ${written} of ${first} bytes`);
    if (written === length) {
      const cut = isCut ? results[AFTER]! : 0;
      if (cut < 0 && cut !== -EINVAL) this.fail(new SystemError(-cut, "ftruncate"));
      else this.succeed();
      this.free();
      return;
    }
    // A short write ends the chain, so the file is open.
    if (written < 0 && !isInterrupted(written)) {
      this.close(() => this.fail(new SystemError(-written, "write")));
      return;
    }
    void this.writeRest(Math.max(written, 0)).then(
      () => this.close(() => this.succeed()),
      (error: unknown) => this.close(() => this.fail(error)),
    );
  }

  private async writeRest(from: number): Promise<void> {
    const { view, length, isCut } = this;
    for (let total = from; total < length;) {
      const written = await this.write(view, total, length - total, total);
      // Without an error, the loop would never end.
      if (written === 0) throw new SystemError(EIO, "write");
      total += written;
    }
    if (isCut) await this.truncate(length).catch(ignoreNoFile);
  }

  protected override succeed(): void {
    super.succeed(undefined);
  }
}

function ignoreNoFile(error: unknown): void {
  if (!(error instanceof SystemError && error.code === "EINVAL")) throw error;
}
