/**
 * Operations on open files: reading and writing, syncing, allocating space, advice, moving data
 * between descriptors.
 */
import {
  IORING_FSYNC_DATASYNC,
  IORING_OP_CLOSE,
  IORING_OP_FADVISE,
  IORING_OP_FALLOCATE,
  IORING_OP_FIXED_FD_INSTALL,
  IORING_OP_FSYNC,
  IORING_OP_FTRUNCATE,
  IORING_OP_MADVISE,
  IORING_OP_READ,
  IORING_OP_READ_FIXED,
  IORING_OP_READ_MULTISHOT,
  IORING_OP_READV,
  IORING_OP_READV_FIXED,
  IORING_OP_SPLICE,
  IORING_OP_SYNC_FILE_RANGE,
  IORING_OP_TEE,
  IORING_OP_URING_CMD,
  IORING_OP_WRITE,
  IORING_OP_WRITE_FIXED,
  IORING_OP_WRITEV,
  IORING_OP_WRITEV_FIXED,
} from "../sys/abi.ts";
import { BLOCK_URING_CMD_DISCARD } from "../sys/linux.ts";
import { U32_MAX } from "../sys/check.ts";
import { require32, requireField, requireWide, type Wide } from "./sqe-checks.ts";
import { SqeWords } from "./sqe-words.ts";

export class FileSqe extends SqeWords {
  /**
   * io_uring_prep_read(3), like pread(2). `offset` is in bytes. An offset of -1 reads at the file's
   * position and moves it; use -1 for pipes and sockets. `res` is the number of bytes, 0 at the
   * end.
   */
  prepRead(fd: number, address: Wide, bytes: number, offset: Wide = -1): this {
    return this.fill(IORING_OP_READ, fd, address, bytes, offset);
  }

  /**
   * io_uring_prep_write(3), like pwrite(2). `res` is the number of bytes, which may be smaller than
   * `bytes`.
   */
  prepWrite(fd: number, address: Wide, bytes: number, offset: Wide = -1): this {
    return this.fill(IORING_OP_WRITE, fd, address, bytes, offset);
  }

  /**
   * io_uring_prep_readv2(3). `address` points at `count` struct iovec (`RingMemory.iovec`).
   * `flags`: RWF_*.
   */
  prepReadv(fd: number, address: Wide, count: number, offset: Wide = -1, flags = 0): this {
    return this.fill(IORING_OP_READV, fd, address, count, offset, flags);
  }

  /** io_uring_prep_writev2(3). `flags`: RWF_*. */
  prepWritev(fd: number, address: Wide, count: number, offset: Wide = -1, flags = 0): this {
    return this.fill(IORING_OP_WRITEV, fd, address, count, offset, flags);
  }

  /**
   * io_uring_prep_read_fixed(3): `address` and `bytes` lie within the registered buffer
   * `bufferIndex`.
   */
  prepReadFixed(fd: number, address: Wide, bytes: number, offset: Wide, bufferIndex: number): this {
    return this.fill(IORING_OP_READ_FIXED, fd, address, bytes, offset).putBufferIndex("bufferIndex", bufferIndex);
  }

  /** io_uring_prep_write_fixed(3). */
  prepWriteFixed(fd: number, address: Wide, bytes: number, offset: Wide, bufferIndex: number): this {
    return this.fill(IORING_OP_WRITE_FIXED, fd, address, bytes, offset).putBufferIndex("bufferIndex", bufferIndex);
  }

  /**
   * Reads into several pieces of one registered buffer. Linux 6.15; io_uring_prep_readv_fixed is
   * newer than liburing 2.3.
   */
  prepReadvFixed(fd: number, address: Wide, count: number, offset: Wide, flags: number, bufferIndex: number): this {
    return this.fill(IORING_OP_READV_FIXED, fd, address, count, offset, flags).putBufferIndex(
      "bufferIndex",
      bufferIndex,
    );
  }

  /**
   * Writes several pieces of one registered buffer. Linux 6.15; io_uring_prep_writev_fixed is newer
   * than liburing 2.3.
   */
  prepWritevFixed(fd: number, address: Wide, count: number, offset: Wide, flags: number, bufferIndex: number): this {
    return this.fill(IORING_OP_WRITEV_FIXED, fd, address, count, offset, flags).putBufferIndex(
      "bufferIndex",
      bufferIndex,
    );
  }

  /**
   * Reads from a pipe or a similar descriptor into buffers of group `bgid`, until a completion has
   * no IORING_CQE_F_MORE. If `bytes` is 0, it fills whole buffers. Linux 6.7;
   * io_uring_prep_read_multishot is newer than liburing 2.3.
   */
  prepReadMultishot(fd: number, bytes: number, offset: Wide, bgid: number): this {
    return this.fill(IORING_OP_READ_MULTISHOT, fd, 0, bytes, offset).setBufferGroup(bgid);
  }

  /** io_uring_prep_fsync(3). `flags`: IORING_FSYNC_DATASYNC, or `true` for that flag. */
  prepFsync(fd: number, flags: number | boolean = 0): this {
    return this.fill(IORING_OP_FSYNC, fd, 0, 0, 0, typeof flags === "boolean" ? Number(flags) : flags);
  }

  /** fdatasync(2): io_uring_prep_fsync(3) with IORING_FSYNC_DATASYNC. */
  prepFdatasync(fd: number): this {
    return this.prepFsync(fd, IORING_FSYNC_DATASYNC);
  }

  /**
   * io_uring_prep_sync_file_range(3). `bytes` 0 means up to the end. `flags`: SYNC_FILE_RANGE_*.
   */
  prepSyncFileRange(fd: number, bytes: number, offset: Wide, flags: number): this {
    requireField(this, "bytes", bytes, 0, U32_MAX);
    return this.fill(IORING_OP_SYNC_FILE_RANGE, fd, 0, bytes, offset, flags);
  }

  /** io_uring_prep_fallocate(3). `mode`: 0 or FALLOC_FL_*. */
  prepFallocate(fd: number, mode: number, offset: Wide, bytes: Wide): this {
    return this.fill(IORING_OP_FALLOCATE, fd, bytes, mode, offset);
  }

  /** ftruncate(2). Linux 6.9; io_uring_prep_ftruncate is newer than liburing 2.3. */
  prepFtruncate(fd: number, bytes: Wide): this {
    requireWide(this, "bytes", bytes, 0);
    return this.fill(IORING_OP_FTRUNCATE, fd, 0, 0, bytes);
  }

  /** io_uring_prep_fadvise(3). `bytes` 0 means up to the end. `advice`: POSIX_FADV_*. */
  prepFadvise(fd: number, offset: Wide, bytes: number, advice: number): this {
    requireField(this, "bytes", bytes, 0, U32_MAX);
    return this.fill(IORING_OP_FADVISE, fd, 0, bytes, offset, advice);
  }

  /** io_uring_prep_madvise(3). `address` is the start of a page. `advice`: MADV_*. */
  prepMadvise(address: Wide, bytes: number, advice: number): this {
    requireField(this, "bytes", bytes, 0, U32_MAX);
    return this.fill(IORING_OP_MADVISE, -1, address, bytes, 0, advice);
  }

  /**
   * io_uring_prep_fadvise64, for more than 4 GiB. Linux 6.11. Older kernels apply the advice to
   * everything from `offset` on.
   */
  prepFadvise64(fd: number, offset: Wide, bytes: Wide, advice: number): this {
    requireWide(this, "bytes", bytes, 0);
    return this.fill(IORING_OP_FADVISE, fd, bytes, 0, offset, advice);
  }

  /** io_uring_prep_madvise64, for more than 4 GiB. Linux 6.11. */
  prepMadvise64(address: Wide, bytes: Wide, advice: number): this {
    requireWide(this, "bytes", bytes, 0);
    return this.fill(IORING_OP_MADVISE, -1, address, 0, bytes, advice);
  }

  /**
   * io_uring_prep_uring_cmd. Sends a command to the driver of the descriptor. `setAddr`, `setAddr3`
   * and `command` set its arguments. Linux 5.19.
   */
  prepUringCmd(command: number, fd: number): this {
    return this.fill(IORING_OP_URING_CMD, fd, 0, 0, require32(this, "command", command));
  }

  /**
   * io_uring_prep_cmd_discard. Discards `bytes` bytes of a block device, in whole blocks. Their
   * content is lost. Linux 6.12.
   */
  prepCmdDiscard(fd: number, offset: Wide, bytes: Wide): this {
    requireWide(this, "offset", offset, 0);
    requireWide(this, "bytes", bytes, 0);
    return this.prepUringCmd(BLOCK_URING_CMD_DISCARD, fd).putWide("offset", 4, offset).putAddress3("bytes", bytes);
  }

  /**
   * io_uring_prep_splice(3). Moves up to `bytes` bytes between two descriptors, at least one of
   * which is a pipe. An offset is -1 for a pipe, or for a file's own position. `flags`: SPLICE_F_*;
   * SPLICE_F_FD_IN_FIXED if `fdIn` is an index of the registered files.
   */
  prepSplice(fdIn: number, offsetIn: Wide, fdOut: number, offsetOut: Wide, bytes: number, flags = 0): this {
    requireWide(this, "offsetIn", offsetIn, -1);
    const isPosition = offsetIn < 0;
    this.fill(IORING_OP_SPLICE, fdOut, isPosition ? 0 : offsetIn, bytes, offsetOut, flags).putWord11("fdIn", fdIn);
    return isPosition ? this.putTarget(0xffffffff, 0xffffffff) : this;
  }

  /** io_uring_prep_tee(3). Copies data between two pipes and leaves it in the first one. */
  prepTee(fdIn: number, fdOut: number, bytes: number, flags = 0): this {
    return this.fill(IORING_OP_TEE, fdOut, 0, bytes, 0, flags).putWord11("fdIn", fdIn);
  }

  /** io_uring_prep_close(3). */
  prepClose(fd: number): this {
    return this.fill(IORING_OP_CLOSE, fd, 0, 0, 0);
  }

  /** io_uring_prep_close_direct(3). Empties a slot of the registered files. */
  prepCloseDirect(fileIndex: number): this {
    return this.prepClose(0).putTargetFile(fileIndex);
  }

  /**
   * Makes an ordinary descriptor of a registered file; `res` is the descriptor. It is close-on-exec
   * unless `flags` has IORING_FIXED_FD_NO_CLOEXEC. Linux 6.8; io_uring_prep_fixed_fd_install is
   * newer than liburing 2.3.
   */
  prepFixedFdInstall(fileIndex: number, flags = 0): this {
    return this.fill(IORING_OP_FIXED_FD_INSTALL, fileIndex, 0, 0, 0, flags).fixedFile();
  }
}
