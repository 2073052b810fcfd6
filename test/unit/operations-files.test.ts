/** Every operation on open files, in the kernel. The tests check the effects without the ring. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  IORING_OP_BIND,
  IORING_OP_FIXED_FD_INSTALL,
  IORING_OP_FTRUNCATE,
  IORING_OP_READ_MULTISHOT,
  IORING_OP_READV_FIXED,
  MADV_DONTNEED,
  MADV_NORMAL,
  POSIX_FADV_SEQUENTIAL,
  type Ring,
  RingMemory,
  RWF_APPEND,
  RWF_NOWAIT,
  SPLICE_F_FD_IN_FIXED,
  SYNC_FILE_RANGE_WAIT_AFTER,
  SYNC_FILE_RANGE_WRITE,
} from "../../src/ring/index.ts";
import { complete, fail, nextCompletions, nextSqe, openRing, ringKinds, succeed, testWith } from "./ring-kinds.ts";
import { Pipe } from "./pipe.ts";

describe.each(ringKinds)("on a %s ring", (_, flags) => {
  let ring: Ring;
  let memory: RingMemory;
  let directory: string;
  let path: string;
  let fd: number;

  beforeEach(() => {
    ring = openRing(8, flags);
    memory = new RingMemory();
    directory = mkdtempSync(join(tmpdir(), "ringloop-files-"));
    path = join(directory, "file");
    fd = openSync(path, "w+");
  });

  afterEach(() => {
    ring.close();
    memory.release();
    closeSync(fd);
    rmSync(directory, { recursive: true });
  });

  test("readv and writev take iovecs and flags", () => {
    const vector = memory.iovec([memory.copy("scatter "), memory.copy("gather")]);
    expect(succeed(ring, (sqe) => sqe.prepWritev(fd, vector.address, vector.count, 0))).toBe(14);
    expect(succeed(ring, (sqe) => sqe.prepWritev(fd, vector.address, 1, 0, RWF_APPEND))).toBe(8);
    expect(readFileSync(path, "latin1")).toBe("scatter gatherscatter ");
    const [head, tail] = [memory.allocate(3), memory.allocate(100)];
    const into = memory.iovec([head, tail]);
    expect(succeed(ring, (sqe) => sqe.prepReadv(fd, into.address, into.count, 8, RWF_NOWAIT))).toBe(14);
    expect([head.buffer.toString(), tail.buffer.toString("latin1", 0, 11)]).toEqual(["gat", "herscatter "]);
  });

  test("readFixed and writeFixed go through a registered buffer", () => {
    const buffer = memory.allocate(8192);
    ring.registerBuffers([memory.allocate(16), buffer]);
    buffer.buffer.write("fixed");
    expect(succeed(ring, (sqe) => sqe.prepWriteFixed(fd, buffer.address, 5, 2, 1))).toBe(5);
    expect(readFileSync(path, "latin1")).toBe("\0\0fixed");
    expect(succeed(ring, (sqe) => sqe.prepReadFixed(fd, buffer.address + 100, 5, 2, 1))).toBe(5);
    expect(buffer.buffer.toString("latin1", 100, 105)).toBe("fixed");
    expect(fail(ring, (sqe) => sqe.prepReadFixed(fd, buffer.address + 8192, 1, 0, 1))).toBe("EFAULT");
  });

  testWith(IORING_OP_READV_FIXED)("readvFixed and writevFixed take pieces of a registered buffer", () => {
    const buffer = memory.allocate(8192);
    ring.registerBuffers([buffer]);
    buffer.buffer.write("one", 0);
    buffer.buffer.write("two", 4096);
    const pieces = memory.iovec([
      { address: buffer.address, bytes: 3 },
      { address: buffer.address + 4096, bytes: 3 },
    ]);
    expect(succeed(ring, (sqe) => sqe.prepWritevFixed(fd, pieces.address, 2, 0, 0, 0))).toBe(6);
    expect(readFileSync(path, "latin1")).toBe("onetwo");
    writeFileSync(path, "fewbar");
    expect(succeed(ring, (sqe) => sqe.prepReadvFixed(fd, pieces.address, 2, 0, 0, 0))).toBe(6);
    expect([buffer.buffer.toString("latin1", 0, 3), buffer.buffer.toString("latin1", 4096, 4099)]).toEqual([
      "few",
      "bar",
    ]);
  });

  testWith(IORING_OP_READ_MULTISHOT)("readMultishot reads a pipe into provided buffers again and again", () => {
    using pipe = new Pipe();
    using buffers = ring.setupBufRing(4, 7);
    const pool = memory.allocate(4 * 16);
    for (let bid = 0; bid < 4; bid++) buffers.add(pool.address + bid * 16, 16, bid, bid);
    buffers.advance(4);
    nextSqe(ring).prepReadMultishot(pipe.readEnd, 0, 0, 7);
    ring.submit();
    for (const text of ["first", "second"]) {
      writeSync(pipe.writeEnd, text);
      const cqe = ring.waitCqe(5_000_000)!;
      expect([cqe.res, cqe.more]).toEqual([text.length, true]);
      expect(pool.buffer.toString("latin1", cqe.bufferId * 16, cqe.bufferId * 16 + cqe.res)).toBe(text);
      ring.cqeSeen();
    }
  });

  test("fsync, fdatasync and syncFileRange flush what was written", () => {
    writeSync(fd, "dirty");
    expect(succeed(ring, (sqe) => sqe.prepFsync(fd))).toBe(0);
    expect(succeed(ring, (sqe) => sqe.prepFdatasync(fd))).toBe(0);
    const both = SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    expect(succeed(ring, (sqe) => sqe.prepSyncFileRange(fd, 5, 0, both))).toBe(0);
    expect(fail(ring, (sqe) => sqe.prepSyncFileRange(fd, 5, 0, 8))).toBe("EINVAL");
  });

  test("fallocate makes room, and punches holes", () => {
    expect(succeed(ring, (sqe) => sqe.prepFallocate(fd, 0, 0, 16384))).toBe(0);
    expect(fstatSync(fd)).toMatchObject({ size: 16384 });
    const data = Buffer.alloc(16384, "x");
    writeSync(fd, data, 0, data.length, 0);
    expect(succeed(ring, (sqe) => sqe.prepFallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096))).toBe(
      0,
    );
    expect(
      readFileSync(path).equals(Buffer.concat([data.subarray(0, 4096), Buffer.alloc(4096), data.subarray(8192)])),
    ).toBe(true);
  });

  testWith(IORING_OP_FTRUNCATE)("ftruncate sets the size", () => {
    writeFileSync(path, "shorter");
    expect(succeed(ring, (sqe) => sqe.prepFtruncate(fd, 5))).toBe(0);
    expect(readFileSync(path, "latin1")).toBe("short");
  });

  test("fadvise takes advice about a file, and refuses what is none", () => {
    expect(succeed(ring, (sqe) => sqe.prepFadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL))).toBe(0);
    expect(fail(ring, (sqe) => sqe.prepFadvise(fd, 0, 0, 99))).toBe("EINVAL");
  });

  test("madvise gives pages back, which read as zeroes then", () => {
    const pages = memory.allocate(8192, 4096);
    pages.buffer.fill(1);
    expect(succeed(ring, (sqe) => sqe.prepMadvise(pages.address, 4096, MADV_DONTNEED))).toBe(0);
    expect([pages.buffer[0], pages.buffer[4095], pages.buffer[4096]]).toEqual([0, 0, 1]);
  });

  testWith(IORING_OP_BIND)("fadvise64 and madvise64 take lengths of 64 bits", () => {
    expect(succeed(ring, (sqe) => sqe.prepFadvise64(fd, 0, 2 ** 40, POSIX_FADV_SEQUENTIAL))).toBe(0);
    expect(fail(ring, (sqe) => sqe.prepFadvise64(fd, 0, 2n ** 63n, POSIX_FADV_SEQUENTIAL))).toBe("EINVAL");
    const pages = memory.allocate(8192, 4096);
    pages.buffer.fill(1);
    expect(succeed(ring, (sqe) => sqe.prepMadvise64(pages.address, 4096, MADV_DONTNEED))).toBe(0);
    expect([pages.buffer[0], pages.buffer[4096]]).toEqual([0, 1]);
    // If the length were cut to 32 bits, it would be 0. With 8 GiB there are holes in the range.
    expect(fail(ring, (sqe) => sqe.prepMadvise64(pages.address, 2 ** 33, MADV_NORMAL))).toBe("ENOMEM");
  });

  test("a file takes no command, and a discard is one", () => {
    expect(fail(ring, (sqe) => sqe.prepCmdDiscard(fd, 0, 4096))).toBe("EOPNOTSUPP");
    expect(fail(ring, (sqe) => sqe.prepUringCmd(1, fd))).toBe("EOPNOTSUPP");
  });

  test("splice moves a file's bytes into a pipe, and a pipe's into a file", () => {
    using pipe = new Pipe();
    writeFileSync(path, "through a pipe");
    expect(succeed(ring, (sqe) => sqe.prepSplice(fd, 8, pipe.writeEnd, -1, 100))).toBe(6);
    expect(succeed(ring, (sqe) => sqe.prepSplice(pipe.readEnd, -1, fd, 14, 100))).toBe(6);
    expect(readFileSync(path, "latin1")).toBe("through a pipea pipe");
  });

  test("splice takes its source from the registered files", () => {
    using pipe = new Pipe();
    writeFileSync(path, "registered");
    ring.registerFiles([fd]);
    expect(succeed(ring, (sqe) => sqe.prepSplice(0, 0, pipe.writeEnd, -1, 100, SPLICE_F_FD_IN_FIXED))).toBe(10);
  });

  test("tee copies between pipes and leaves the data in the first", () => {
    using from = new Pipe();
    using to = new Pipe();
    writeSync(from.writeEnd, "twice");
    expect(succeed(ring, (sqe) => sqe.prepTee(from.readEnd, to.writeEnd, 100))).toBe(5);
    const seen = [from, to].map(({ readEnd }) => {
      const bytes = Buffer.alloc(100);
      return bytes.toString("latin1", 0, readSync(readEnd, bytes));
    });
    expect(seen).toEqual(["twice", "twice"]);
  });

  test("closeDirect empties a slot of the registered files", () => {
    writeFileSync(path, "x");
    ring.registerFiles([fd]);
    const byte = memory.allocate(1);
    expect(succeed(ring, (sqe) => sqe.prepRead(0, byte.address, 1, 0).fixedFile())).toBe(1);
    expect(succeed(ring, (sqe) => sqe.prepCloseDirect(0))).toBe(0);
    expect(fail(ring, (sqe) => sqe.prepRead(0, byte.address, 1, 0).fixedFile())).toBe("EBADF");
    expect(fstatSync(fd).size).toBe(1);
  });

  testWith(IORING_OP_FIXED_FD_INSTALL)("fixedFdInstall gives a registered file a descriptor", () => {
    writeFileSync(path, "installed");
    ring.registerFiles([fd]);
    const installed = succeed(ring, (sqe) => sqe.prepFixedFdInstall(0));
    expect(installed).not.toBe(fd);
    expect(readFileSync(installed, "latin1")).toBe("installed");
    closeSync(installed);
  });

  test("a chain of links writes, syncs and reads in order; a hard link goes on after a failure", () => {
    const text = memory.copy("chained");
    const into = memory.allocate(7);
    nextSqe(ring).prepWrite(fd, text.address, 7, 0).link().setData(1);
    nextSqe(ring).prepFsync(fd).link().skipSuccess().setData(2);
    nextSqe(ring).prepRead(fd, into.address, 7, 0).setData(3);
    ring.submit();
    expect(nextCompletions(ring, 2).map(({ data, res }) => [data, res])).toEqual([
      [1n, 7],
      [3n, 7],
    ]);
    expect(into.buffer.toString()).toBe("chained");
    nextSqe(ring).prepFsync(-1).hardLink().setData(4);
    nextSqe(ring).prepNop().setData(5);
    ring.submit();
    expect(nextCompletions(ring, 2).map(({ data, res }) => [data, res])).toEqual([
      [4n, -9],
      [5n, 0],
    ]);
  });

  test("a drain waits for all before it", () => {
    using pipe = new Pipe();
    const byte = memory.allocate(1);
    nextSqe(ring).prepRead(pipe.readEnd, byte.address, 1).setData(1);
    nextSqe(ring).prepNop().drain().setData(2);
    ring.submit();
    expect(ring.waitCqe(1000)).toBeNull();
    writeSync(pipe.writeEnd, "x");
    expect(nextCompletions(ring, 2).map(({ data }) => data)).toEqual([1n, 2n]);
  });

  test("an address that is nowhere is EFAULT, and not a crash", () => {
    writeFileSync(path, "x");
    expect(fail(ring, (sqe) => sqe.prepRead(fd, 16, 1, 0))).toBe("EFAULT");
    expect(complete(ring, (sqe) => sqe.prepRead(fd, memory.allocate(1).address, 1, 0)).res).toBe(1);
  });
});
