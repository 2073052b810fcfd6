import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { layout } from "../../src/sys/layout.ts";
import { libraryPath } from "../../src/sys/library.ts";

const root = join(import.meta.dir, "../..");
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "ringloop-library-"));
});

afterAll(() => rmSync(directory, { recursive: true }));

/** Runs a program in another process, in which RINGLOOP_LIBRARY names `library`. */
function run(library: string, program: string): string {
  const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", program], {
    cwd: root,
    env: { ...process.env, RINGLOOP_LIBRARY: library },
  });
  return stdout.toString() + stderr.toString();
}

const openRing = `
  import { LibraryError, Ring } from "./src/ring/index.ts";
  try {
    Ring.queueInit(2).close();
    console.log("opened");
  } catch (error) {
    console.log(error instanceof LibraryError, error.name, error.code, error.message);
  }
`;

/** Makes a copy of the built library. Every `from` is replaced by a `to` of the same length. */
function patchedLibrary(name: string, from: Buffer, to: Buffer): string {
  const image = readFileSync(libraryPath());
  expect(image.indexOf(from)).toBeGreaterThan(0);
  for (let at = image.indexOf(from); at >= 0; at = image.indexOf(from, at + 1)) to.copy(image, at);
  const path = join(directory, name);
  writeFileSync(path, image);
  return path;
}

function layoutTable(change: Record<string, number> = {}): Buffer {
  return Buffer.from(Uint32Array.from(layout, ([name, value]) => change[name] ?? value).buffer);
}

test("RINGLOOP_LIBRARY names the library to open", () => {
  const copy = join(directory, "copy.so");
  copyFileSync(libraryPath(), copy);
  expect(run(copy, openRing)).toBe("opened\n");
});

describe("a LibraryError that says how to build the library is thrown for", () => {
  const howToBuild = `Build it with: bun ${join(root, "ffi/build.ts")} --force\n`;

  function expectLibraryError(library: string, reason: string | RegExp): void {
    const output = run(library, openRing);
    expect(output).toStartWith(`true LibraryError ERR_RINGLOOP_LIBRARY ringloop: the shared object ${library} `);
    expect(output).toMatch(reason);
    expect(output).toEndWith(howToBuild);
  }

  test("a library that does not exist", () => {
    expectLibraryError(join(directory, "missing.so"), "does not exist");
  });

  test("a file that is no library", () => {
    const path = join(directory, "text.so");
    writeFileSync(path, "This is not ELF.\n");
    expectLibraryError(path, "cannot be loaded (");
  });

  test("an empty file", () => {
    const path = join(directory, "empty.so");
    writeFileSync(path, "");
    expectLibraryError(path, "cannot be loaded (");
  });

  test("a library without one of the functions, which is named", () => {
    const path = patchedLibrary("symbol.so", Buffer.from("\0rl_eventfd\0"), Buffer.from("\0rl_eventff\0"));
    expectLibraryError(path, /cannot be loaded \(.*rl_eventfd/);
  });

  test("a library of another version", () => {
    const path = patchedLibrary("version.so", layoutTable(), layoutTable({ RL_ABI_VERSION: 1000 }));
    expectLibraryError(path, /does not match src\/sys\/abi.ts \(RL_ABI_VERSION is 1000, not \d+\)/);
  });

  test("a library with other layouts, of which the first three are named", () => {
    const wrong = {
      "sizeof(void *)": 4,
      "offsetof(struct io_uring_sqe, fd)": 5,
      IORING_OP_RECV: 99,
      IORING_OP_SEND: 98,
    };
    const path = patchedLibrary("layout.so", layoutTable(), layoutTable(wrong));
    expectLibraryError(
      path,
      "(sizeof(void *) is 4, not 8; offsetof(struct io_uring_sqe, fd) is 5, not 4; IORING_OP_RECV is 99, not 27)",
    );
  });
});

test("importing the package opens no library", () => {
  const program = `import { LibraryError } from "./src/index.ts"; import "./src/ring/index.ts"; console.log(typeof LibraryError);`;
  expect(run(join(directory, "missing.so"), program)).toBe("function\n");
});
