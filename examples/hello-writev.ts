/**
 * The classic first program of io_uring: writes "Hello world" to a file through a ring, and does
 * other work while the kernel writes.
 *
 *   bun examples/hello-writev.ts hello.txt
 */
import { openSync } from "node:fs";
import { errnoName, Ring, RingMemory } from "../src/ring/index.ts";

const path = process.argv[2] ?? "/dev/null";
const ring = Ring.queueInit(32);
const memory = new RingMemory(); // Memory that the kernel uses until the completion.
const fd = openSync(path, "w");

const iovec = memory.iovec([memory.copy("Hello "), memory.copy("world\n")]);
ring.getSqe()!.prepWritev(fd, iovec.address, iovec.count, 0);
ring.submit();

let turns = 0;
let cqe = ring.peekCqe();
for (; cqe === null; cqe = ring.peekCqe()) turns++; // Other work.

if (cqe.res < 0) throw new Error(`writev: ${errnoName(-cqe.res)}`);
console.log(`${cqe.res} bytes written to ${path}, after ${turns} turns of other work`);
ring.cqeSeen();
ring.queueExit();
memory.release();
