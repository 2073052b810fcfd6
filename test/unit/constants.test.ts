/**
 * The constants of Linux have the values that a C compiler sees. The library itself compares those
 * of io_uring each time it is opened.
 */
import { beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as abi from "../../src/sys/abi.ts";
import { layout } from "../../src/sys/layout.ts";
import * as linux from "../../src/sys/linux.ts";
import { outputOfC } from "./compiled-c.ts";

const headers =
  "fcntl.h limits.h linux/falloc.h linux/futex.h linux/openat2.h netinet/in.h netinet/tcp.h poll.h netinet/udp.h sys/epoll.h sys/eventfd.h sys/inotify.h sys/mman.h sys/pidfd.h sys/socket.h sys/stat.h sys/timerfd.h sys/uio.h sys/wait.h sys/xattr.h linux/fs.h linux/net_tstamp.h liburing.h";

/** Constants that the headers of Linux 6.1 do not have. Their values come from the kernel. */
const newer = /^(BLOCK_URING_CMD_|FUTEX2_|SOCKET_URING_OP_)/;
/** ringloop's own constants. Other tests compare them with sizes and offsets. */
const own = /_(BYTES|OFFSET|VERSION)$/;

const compared = new Set(layout.map(([name]) => name));
const constants = Object.entries({ ...abi, ...linux }).filter(
  ([name]) => !newer.test(name) && !own.test(name) && !compared.has(name),
);
let expected: Map<string, number>;

beforeAll(() => {
  const directory = mkdtempSync(join(tmpdir(), "ringloop-constants-"));
  const source = join(directory, "constants.c");
  const includes = headers.split(" ").map((header) => `#include <${header}>`);
  const prints = constants.map(([name]) => `  printf("${name} %lld\\n", (long long)${name});`);
  writeFileSync(
    source,
    `#define _GNU_SOURCE\n${includes.join("\n")}\n#include <stdio.h>\nint main(void) {\n${prints.join("\n")}\n}\n`,
  );
  try {
    const lines = outputOfC(source).trimEnd().split("\n");
    expected = new Map(lines.map((line) => [line.split(" ")[0]!, Number(line.split(" ")[1])]));
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test.each(constants)("%s", (name, value) => {
  expect(value >>> 0).toBe(expected.get(name)! >>> 0);
});

test("there are many, and what is newer than the headers is little", () => {
  expect(constants.length).toBeGreaterThan(100);
  expect(Object.keys({ ...abi, ...linux }).filter((name) => newer.test(name)).length).toBeLessThan(10);
});
