/** Every operation on paths, in the kernel. The tests check the effects without the ring. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  closeSync,
  constants,
  existsSync,
  linkSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_FOLLOW,
  AT_SYMLINK_NOFOLLOW,
  IORING_FILE_INDEX_ALLOC,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
  type Ring,
  RingMemory,
  STATX_BASIC_STATS,
  STATX_BTIME,
  XATTR_CREATE,
  XATTR_REPLACE,
} from "../../src/ring/index.ts";
import { complete, fail, openRing, ringKinds, succeed } from "./ring-kinds.ts";

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, S_IFMT, S_IFREG, S_IFLNK } = constants;

/** Whether the file system has user attributes. tmpfs has none before Linux 6.6. */
function hasAttributes(): boolean {
  using ring = openRing(2, 0);
  using memory = new RingMemory();
  const directory = mkdtempSync(join(tmpdir(), "ringloop-attributes-"));
  const [name, path] = [memory.cString("user.ringloop").address, memory.cString(directory).address];
  const { res } = complete(ring, (sqe) => sqe.prepSetxattr(name, memory.copy("x").address, path, 0, 1));
  rmSync(directory, { recursive: true });
  return res === 0;
}

describe.each(ringKinds)("on a %s ring", (_, flags) => {
  let ring: Ring;
  let memory: RingMemory;
  let directory: string;
  let directoryFd: number;

  beforeEach(() => {
    ring = openRing(8, flags);
    memory = new RingMemory();
    directory = mkdtempSync(join(tmpdir(), "ringloop-paths-"));
    directoryFd = openSync(directory, O_RDONLY);
  });

  afterEach(() => {
    ring.close();
    memory.release();
    closeSync(directoryFd);
    rmSync(directory, { recursive: true });
  });

  const path = (name: string): string => join(directory, name);
  /** Returns the address of a path in mapped memory. */
  const address = (name: string): number => memory.cString(name).address;

  test("open and openDirect start from the working directory", () => {
    const path = memory.cString(join(directory, "new")).address;
    const fd = succeed(ring, (sqe) => sqe.prepOpen(path, O_WRONLY | O_CREAT | O_EXCL, 0o600));
    closeSync(fd);
    expect(statSync(join(directory, "new")).mode & 0o777).toBe(0o600);
    ring.registerFilesSparse(2);
    expect(succeed(ring, (sqe) => sqe.prepOpenDirect(path, O_RDONLY, 0, 1))).toBe(0);
    expect(succeed(ring, (sqe) => sqe.prepRead(1, memory.allocate(1).address, 1, 0).fixedFile())).toBe(0);
  });

  test("openat creates a file relative to a directory, with its mode", () => {
    const name = address("created");
    const fd = succeed(ring, (sqe) => sqe.prepOpenat(directoryFd, name, O_WRONLY | O_CREAT | O_EXCL, 0o600));
    expect(statSync(path("created")).mode & 0o777).toBe(0o600);
    expect(fail(ring, (sqe) => sqe.prepOpenat(directoryFd, name, O_WRONLY | O_CREAT | O_EXCL, 0o600))).toBe("EEXIST");
    expect(succeed(ring, (sqe) => sqe.prepClose(fd))).toBe(0);
  });

  test("openat takes a path of any bytes that UTF-8 has", () => {
    writeFileSync(path("säule 🧭"), "named");
    const fd = succeed(ring, (sqe) => sqe.prepOpenat(AT_FDCWD, address(path("säule 🧭")), O_RDONLY, 0));
    expect(readFileSync(fd, "latin1")).toBe("named");
    closeSync(fd);
  });

  test("openat2 opens as it is told how", () => {
    writeFileSync(path("file"), "opened");
    symlinkSync("file", path("symlink"));
    const how = memory.openHow({ flags: O_RDONLY, resolve: RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH });
    const fd = succeed(ring, (sqe) => sqe.prepOpenat2(directoryFd, address("file"), how.address));
    expect(readFileSync(fd, "latin1")).toBe("opened");
    closeSync(fd);
    expect(fail(ring, (sqe) => sqe.prepOpenat2(directoryFd, address("symlink"), how.address))).toBe("ELOOP");
    expect(fail(ring, (sqe) => sqe.prepOpenat2(directoryFd, address("../file"), how.address))).toBe("EXDEV");
  });

  test("openatDirect and openat2Direct open into the registered files", () => {
    writeFileSync(path("file"), "direct");
    ring.registerFilesSparse(4);
    const name = address("file");
    const how = memory.openHow({ flags: O_RDONLY });
    const into = memory.allocate(6);
    expect(succeed(ring, (sqe) => sqe.prepOpenatDirect(directoryFd, name, O_RDONLY, 0, 2))).toBe(0);
    expect(succeed(ring, (sqe) => sqe.prepOpenat2Direct(directoryFd, name, how.address, 3))).toBe(0);
    const alloc = IORING_FILE_INDEX_ALLOC;
    expect(succeed(ring, (sqe) => sqe.prepOpenatDirect(directoryFd, name, O_RDONLY, 0, alloc))).toBe(0);
    expect(succeed(ring, (sqe) => sqe.prepOpenat2Direct(directoryFd, name, how.address, alloc))).toBe(1);
    expect(fail(ring, (sqe) => sqe.prepOpenatDirect(directoryFd, name, O_RDONLY, 0, alloc))).toBe("ENFILE");
    for (let slot = 0; slot < 4; slot++) {
      into.buffer.fill(0);
      expect(succeed(ring, (sqe) => sqe.prepRead(slot, into.address, 6, 0).fixedFile())).toBe(6);
      expect(into.buffer.toString()).toBe("direct");
    }
  });

  test("statx tells what stat does", () => {
    writeFileSync(path("file"), "12345", { mode: 0o640 });
    linkSync(path("file"), path("other"));
    utimesSync(path("file"), 1.25, 1234567890.5);
    const statx = memory.statx();
    const mask = STATX_BASIC_STATS | STATX_BTIME;
    expect(succeed(ring, (sqe) => sqe.prepStatx(directoryFd, address("file"), 0, mask, statx.address))).toBe(0);
    expect(statx.mask & STATX_BASIC_STATS).toBe(STATX_BASIC_STATS);
    const stats = statSync(path("file"));
    expect(statx).toMatchObject({
      size: 5,
      nlink: 2,
      mode: stats.mode,
      uid: stats.uid,
      gid: stats.gid,
      ino: stats.ino,
      blocks: stats.blocks,
      blockBytes: stats.blksize,
      atimeMs: 1250,
      mtimeMs: 1234567890500,
      rdevMajor: 0,
      rdevMinor: 0,
    });
    expect(Math.abs(statx.ctimeMs - stats.ctimeMs)).toBeLessThan(1);
    expect(Math.abs(statx.birthtimeMs - stats.birthtimeMs)).toBeLessThan(1);
    // The encoding of a device number in Linux, see makedev(3).
    expect(((statx.devMajor & 0xfff) << 8) | (statx.devMinor & 0xff)).toBe(stats.dev & 0xfffff);
  });

  test("statx follows a symbolic link or does not, and reads times before 1970", () => {
    writeFileSync(path("file"), "");
    symlinkSync("file", path("symlink"));
    Bun.spawnSync(["touch", "-d", "@-10", path("file")]); // Bun's utimes accepts no time before 1970.
    const statx = memory.statx();
    const name = address("symlink");
    succeed(ring, (sqe) => sqe.prepStatx(directoryFd, name, 0, STATX_BASIC_STATS, statx.address));
    expect([statx.mode & S_IFMT, statx.mtimeMs]).toEqual([S_IFREG, -10_000]);
    succeed(ring, (sqe) => sqe.prepStatx(directoryFd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, statx.address));
    expect(statx.mode & S_IFMT).toBe(S_IFLNK);
  });

  test("rename and renameat rename, exchange, and spare what is there when told to", () => {
    writeFileSync(path("a"), "a");
    writeFileSync(path("b"), "b");
    expect(succeed(ring, (sqe) => sqe.prepRename(address(path("a")), address(path("c"))))).toBe(0);
    expect([existsSync(path("a")), readFileSync(path("c"), "latin1")]).toEqual([false, "a"]);
    const [b, c] = [address("b"), address("c")];
    expect(fail(ring, (sqe) => sqe.prepRenameat(directoryFd, b, directoryFd, c, RENAME_NOREPLACE))).toBe("EEXIST");
    expect(succeed(ring, (sqe) => sqe.prepRenameat(directoryFd, b, directoryFd, c, RENAME_EXCHANGE))).toBe(0);
    expect([readFileSync(path("b"), "latin1"), readFileSync(path("c"), "latin1")]).toEqual(["a", "b"]);
  });

  test("mkdir and mkdirat make directories; unlink and unlinkat remove files and directories", () => {
    expect(succeed(ring, (sqe) => sqe.prepMkdir(address(path("outer")), 0o700))).toBe(0);
    expect(succeed(ring, (sqe) => sqe.prepMkdirat(directoryFd, address("outer/inner"), 0o700))).toBe(0);
    expect(statSync(path("outer/inner")).mode & 0o777).toBe(0o700);
    writeFileSync(path("outer/file"), "");
    expect(succeed(ring, (sqe) => sqe.prepUnlinkat(directoryFd, address("outer/inner"), AT_REMOVEDIR))).toBe(0);
    expect(succeed(ring, (sqe) => sqe.prepUnlink(address(path("outer/file"))))).toBe(0);
    expect(succeed(ring, (sqe) => sqe.prepUnlink(address(path("outer")), AT_REMOVEDIR))).toBe(0);
    expect(existsSync(path("outer"))).toBe(false);
    expect(fail(ring, (sqe) => sqe.prepUnlink(address(path("outer"))))).toBe("ENOENT");
  });

  test("symlink and symlinkat make symbolic links", () => {
    expect(succeed(ring, (sqe) => sqe.prepSymlink(address("anywhere"), address(path("one"))))).toBe(0);
    expect(succeed(ring, (sqe) => sqe.prepSymlinkat(address("elsewhere"), directoryFd, address("two")))).toBe(0);
    expect([readlinkSync(path("one")), readlinkSync(path("two"))]).toEqual(["anywhere", "elsewhere"]);
  });

  test("link and linkat make hard links, and follow symbolic ones when told to", () => {
    writeFileSync(path("file"), "");
    symlinkSync("file", path("symlink"));
    expect(succeed(ring, (sqe) => sqe.prepLink(address(path("file")), address(path("one"))))).toBe(0);
    const [symlink, two] = [address("symlink"), address("two")];
    expect(succeed(ring, (sqe) => sqe.prepLinkat(directoryFd, symlink, directoryFd, two, AT_SYMLINK_FOLLOW))).toBe(0);
    expect(statSync(path("file")).nlink).toBe(3);
    expect(statSync(path("two")).ino).toBe(statSync(path("file")).ino);
  });

  test.if(hasAttributes())("extended attributes are set and read, by name and by descriptor", () => {
    writeFileSync(path("file"), "");
    const fd = openSync(path("file"), "r");
    const file = address(path("file"));
    const [name, value] = [address("user.ringloop"), memory.copy("attribute")];
    expect(succeed(ring, (sqe) => sqe.prepSetxattr(name, value.address, file, XATTR_CREATE, 9))).toBe(0);
    expect(fail(ring, (sqe) => sqe.prepSetxattr(name, value.address, file, XATTR_CREATE, 9))).toBe("EEXIST");
    const into = memory.allocate(100);
    expect(succeed(ring, (sqe) => sqe.prepGetxattr(name, into.address, file, 100))).toBe(9);
    expect(into.buffer.toString("latin1", 0, 9)).toBe("attribute");
    expect(succeed(ring, (sqe) => sqe.prepFsetxattr(fd, name, memory.copy("other").address, XATTR_REPLACE, 5))).toBe(0);
    expect(succeed(ring, (sqe) => sqe.prepFgetxattr(fd, name, into.address, 100))).toBe(5);
    expect(into.buffer.toString("latin1", 0, 5)).toBe("other");
    closeSync(fd);
  });
});
