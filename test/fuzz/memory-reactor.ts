/** Operations of the promise layer on descriptors, and their chains, with memory that changes. */
import { constants, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { reactor as used } from "../behaviour/subject.ts";
import type { Step } from "./campaign.ts";
import type { Area, MemoryOperation } from "./memory-operation.ts";
import { check, type UserMemory } from "./user-memory.ts";
import { PEER_LETTER, PEER_LETTERS, type Wires } from "./wires.ts";

const { O_RDWR, O_CREAT, O_TRUNC } = constants;
const AT_FDCWD = -100;
const [AF_INET, SOCK_DGRAM] = [2, 2];
const [MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_DONTWAIT] = [2, 0x20, 0x100, 0x40];
const PIECE_BYTES_MAX = 1_048_576;
const XATTR_BYTES_MAX = 65_536;
/** Largest duration of a receive that asks for more bytes than will arrive. */
const RECEIVE_MS_MAX = 100;

export function reactorArea(directory: string, wires: Wires): Area {
  const reactor = used()!;
  const pathOf = (step: Step): string => join(directory, "lanes", `${step.lane}raw`);

  async function withFile(step: Step, use: (fd: number, path: string) => Promise<void>): Promise<void> {
    const path = pathOf(step);
    const fd = await reactor.openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_TRUNC, 0o600);
    try {
      await use(fd, path);
    } finally {
      await reactor.closeFd(fd);
      rmSync(path);
    }
  }

  /** Checks the content of a file after `times` writes of a memory. */
  function checkFile(step: Step, path: string, memory: UserMemory, written: number | undefined, times = 1): void {
    const content = readFileSync(path);
    check(step, "the file", content, memory.letters);
    if (content.length > memory.bytesMax * times || (written !== undefined && content.length !== written))
      step.violation(`the file has ${content.length} bytes, and ${written} were written`);
  }

  const write: MemoryOperation = {
    name: "reactor.write and read",
    takes: "bytes",
    bytesMax: PIECE_BYTES_MAX + 10,
    run: (step, memory, changing) =>
      withFile(step, async (fd, path) => {
        const view = memory.data as Uint8Array;
        const written = await step.outcome(changing.under(() => reactor.write(fd, view, 0)));
        checkFile(step, path, memory, written);
        await step.outcome(reactor.read(fd, view, 0));
        check(step, "the memory", memory.now(), memory.letters);
      }),
  };

  const read: MemoryOperation = {
    name: "reactor.read",
    takes: "bytes",
    bytesMax: PIECE_BYTES_MAX,
    run: (step, memory, changing) =>
      withFile(step, async (fd, path) => {
        writeFileSync(path, Buffer.alloc(step.below(50_000), PEER_LETTER));
        await step.outcome(changing.under(() => reactor.read(fd, memory.data as Uint8Array, step.below(100))));
        check(step, "the memory", memory.now(), memory.letters | PEER_LETTERS);
      }),
  };

  const vectors: MemoryOperation = {
    name: "reactor.writev and readv",
    takes: "bytes",
    bytesMax: 200_000,
    run: (step, memory, changing) =>
      withFile(step, async (fd, path) => {
        const view = memory.data as Uint8Array;
        const views = Array.from({ length: 1 + step.below(5) }, () => view);
        const { length } = views;
        const isRead = step.oneIn(2);
        if (isRead) writeFileSync(path, Buffer.alloc(step.below(50_000), PEER_LETTER));
        const moved = await step.outcome(
          changing.under(() => {
            const moving = isRead ? reactor.readv(fd, views, 0) : reactor.writev(fd, views, 0);
            // The array belongs to the caller, which may change it, too.
            if (step.oneIn(3)) views.splice(0, step.below(length + 1), ...(step.oneIn(2) ? [view, view, view] : []));
            return moving;
          }),
        );
        if (!isRead) checkFile(step, path, memory, moved, length);
        check(step, "the memory", memory.now(), memory.letters | PEER_LETTERS);
      }),
  };

  const chain: MemoryOperation = {
    name: "a chain",
    takes: "bytes",
    bytesMax: 100_000,
    run: (step, memory, changing) =>
      withFile(step, async (fd, path) => {
        const view = memory.data as Uint8Array;
        const described = step.attempt(() => {
          const { op } = reactor;
          const into = step.oneIn(2) ? view : new Uint8Array(memory.bytesMax);
          return [
            op.write(fd, view, 0),
            step.pick([() => op.fdatasync(fd), () => op.nop()])(),
            op.setxattr(fd, "user.ringloop", view),
            op.writev(fd, [view, view], 0),
            op.readv(fd, [into, view], 0),
            op.read(fd, into, 0),
          ].filter((_, i) => i === 0 || !step.oneIn(3));
        });
        if (described === undefined) return;
        if (step.oneIn(2)) changing.now();
        await step.outcome<unknown>(changing.under(() => reactor.chain(...described)));
        checkFile(step, path, memory, undefined, 2);
        check(step, "the memory", memory.now(), memory.letters);
      }),
  };

  const attributes: MemoryOperation = {
    name: "reactor.setxattr and getxattr",
    takes: "bytes",
    bytesMax: XATTR_BYTES_MAX,
    run: (step, memory, changing) =>
      withFile(step, async (fd, path) => {
        const file = step.oneIn(2) ? fd : path;
        const { op } = reactor;
        const view = memory.data as Uint8Array;
        const described = step.attempt(() => op.setxattr(file, "user.ringloop", view));
        if (described === undefined) return;
        if (step.oneIn(2)) changing.now();
        await step.outcome<unknown>(changing.under(() => reactor.chain(described)));
        const value = await step.outcome(reactor.getxattr(file, "user.ringloop"));
        if (value !== undefined) check(step, "the attribute", value, memory.letters);
      }),
  };

  const send: MemoryOperation = {
    name: "reactor.send and sendZc",
    takes: "bytes",
    bytesMax: PIECE_BYTES_MAX,
    async run(step, memory, changing) {
      const wire = await wires.raw();
      wire.expect(step, memory.letters);
      const view = memory.data as Uint8Array;
      const isZeroCopy = step.oneIn(2);
      const described = step.attempt(() =>
        isZeroCopy ? reactor.op.sendZc(wire.fd, view) : reactor.op.send(wire.fd, view),
      );
      if (described !== undefined) {
        if (step.oneIn(3)) changing.now();
        const sent = await step.outcome(changing.under(() => reactor.chain(described)));
        if (sent !== undefined) await wire.arrived(sent[0]);
      }
      wire.free();
    },
  };

  const receive: MemoryOperation = {
    name: "reactor.recv",
    takes: "bytes",
    bytesMax: 100_000,
    async run(step, memory, changing) {
      const wire = await wires.raw();
      const letters = memory.letters | PEER_LETTERS;
      wire.expect(step, 0);
      const bytes = 1 + step.below(2000);
      wire.answer(Buffer.alloc(bytes, PEER_LETTER));
      const view = memory.data as Uint8Array;
      const flags = step.pick([
        0,
        MSG_PEEK,
        MSG_TRUNC,
        MSG_PEEK | MSG_TRUNC,
        memory.bytes <= bytes ? MSG_WAITALL : 0,
        MSG_DONTWAIT,
      ]);
      step.what += `, flags 0x${flags.toString(16)}`;
      // A receive into an empty view never ends. Then a peek asks for the bytes once more.
      const received = await step.outcome(
        changing.under(() => reactor.recv(wire.fd, view, flags, { timeoutMs: RECEIVE_MS_MAX })),
      );
      if ((flags & MSG_TRUNC) === 0 && received !== undefined && received > memory.bytesMax)
        step.violation(`${received} bytes were received into ${memory.bytesMax}`);
      check(step, "the memory", memory.now(), letters);
      const taken = received === undefined ? undefined : flags & MSG_PEEK ? 0 : received;
      // If the operation was refused afterwards, it is unknown whether it has taken bytes.
      if (taken === undefined) wire.discard();
      else {
        const rest = Buffer.alloc(4096);
        for (let left = bytes - taken; left > 0;) left -= await reactor.recv(wire.fd, rest);
        check(step, "the rest", rest, PEER_LETTERS | 1);
        wire.free();
      }
    },
  };

  const datagrams: MemoryOperation = {
    name: "reactor.recv of a datagram",
    takes: "bytes",
    bytesMax: 10_000,
    async run(step, memory, changing) {
      const fd = await reactor.socket(AF_INET, SOCK_DGRAM);
      try {
        const port = await wires.bindDatagrams(fd);
        if (port === undefined) return;
        wires.sendDatagram(Buffer.alloc(1 + step.below(2000), PEER_LETTER), port);
        const flags = step.pick([0, MSG_TRUNC, MSG_PEEK, MSG_PEEK | MSG_TRUNC]);
        await step.outcome(
          changing.under(() => reactor.recv(fd, memory.data as Uint8Array, flags, { timeoutMs: RECEIVE_MS_MAX })),
        );
        check(step, "the memory", memory.now(), memory.letters | PEER_LETTERS);
      } finally {
        await reactor.closeFd(fd);
      }
    },
  };

  return {
    operations: [write, read, vectors, chain, attributes, send, receive, datagrams],
    close() {},
  };
}
