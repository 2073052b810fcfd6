/** Operations of ringloop/fs and of FileHandle, on memory that changes. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { files } from "../behaviour/subject.ts";
import type { Step } from "./campaign.ts";
import type { Area, MemoryOperation } from "./memory-operation.ts";
import { ALPHABET, check, lettersOf, type UserMemory } from "./user-memory.ts";

type Handle = Awaited<ReturnType<typeof files.open>>;

const SOURCE_BYTES = 3_000_000;
const SOURCE_LETTERS = lettersOf(0x73);
/** Length of a large memory. The kernel gets it in pieces. */
const LARGE = 2_600_000;
/** A position beyond the end of every file. */
const FAR = 0x7fffffff;

export function fileArea(directory: string): Area {
  const sourcePath = join(directory, "source");
  writeFileSync(sourcePath, Buffer.alloc(SOURCE_BYTES, "s"));
  mkdirSync(join(directory, "lanes"));
  const pathOf = (step: Step, name = ""): string => join(directory, "lanes", `${step.lane}${name}`);

  /** Checks the content of a file after a write, which may have been refused. */
  function checkFile(step: Step, path: string, memory: UserMemory, written: number | undefined, letters = 0): void {
    if (!existsSync(path)) return;
    const content = readFileSync(path);
    check(step, "the file", content, memory.letters | letters);
    if (written !== undefined && content.length !== written)
      step.violation(`the file has ${content.length} bytes, and ${written} were written`);
    if (content.length > memory.bytesMax) step.violation(`the file has ${content.length} of ${memory.bytesMax} bytes`);
    rmSync(path);
  }

  async function withFile<T>(path: string, flags: string, use: (file: Handle) => Promise<T>): Promise<T> {
    const file = await files.open(path, flags);
    try {
      return await use(file);
    } finally {
      await file.close();
    }
  }

  /** Returns a random part of a memory, in most cases the whole. */
  function part(step: Step, bytes: number): [offset: number | undefined, length: number | undefined] {
    if (!step.oneIn(3)) return [undefined, undefined];
    const offset = step.below(bytes + 1);
    return [offset, step.oneIn(2) ? undefined : step.below(bytes - offset + 1)];
  }

  const write: MemoryOperation = {
    name: "FileHandle.write",
    takes: "view",
    bytesMax: LARGE,
    async run(step, memory, changing) {
      const path = pathOf(step);
      const [offset, length] = part(step, memory.bytes);
      const position = step.oneIn(2) ? 0 : null;
      const view = memory.data as Uint8Array;
      const result = await withFile(path, "w", (file) =>
        step.outcome(changing.under(() => file.write(view, offset, length, position))),
      );
      checkFile(step, path, memory, result?.bytesWritten);
    },
  };

  const writev: MemoryOperation = {
    name: "FileHandle.writev",
    takes: "view",
    bytesMax: LARGE,
    async run(step, memory, changing) {
      const path = pathOf(step);
      const view = memory.data as Uint8Array;
      const pieces = Array.from({ length: step.oneIn(50) ? 1100 : 1 + step.below(4) }, () => view);
      const views = memory.bytes > 2000 ? [view] : pieces;
      const result = await withFile(path, "w", (file) =>
        step.outcome(changing.under(() => file.writev(views, step.oneIn(2) ? 0 : null))),
      );
      const { bytesMax } = memory;
      checkFile(step, path, { ...memory, bytesMax: bytesMax * views.length }, result?.bytesWritten);
    },
  };

  const writeFile: MemoryOperation = {
    name: "writeFile",
    takes: "view",
    bytesMax: LARGE,
    async run(step, memory, changing) {
      const path = pathOf(step);
      const view = memory.data as Uint8Array;
      const ways: (() => Promise<unknown>)[] = [
        () => files.writeFile(path, view),
        () => files.appendFile(path, view),
        () => withFile(path, "w", (file) => changing.under(() => file.writeFile(view))),
        () => withFile(path, "w", (file) => changing.under(() => files.writeFile(file, view))),
        () => files.writeFile(path, [view, view]),
        () =>
          files.writeFile(
            path,
            (async function* () {
              for (let i = 0; i < 3; i++) yield changing.under(() => view);
            })(),
          ),
      ];
      const way = step.below(ways.length);
      // The handle's own methods open no file, so the change comes during them.
      await step.outcome(way === 2 || way === 3 ? ways[way]!() : changing.under(ways[way]!));
      checkFile(step, path, { ...memory, bytesMax: memory.bytesMax * (way < 4 ? 1 : 3) }, undefined);
    },
  };

  const atomic: MemoryOperation = {
    name: "writeFile atomically",
    weight: 1,
    takes: "view",
    bytesMax: 100_000,
    async run(step, memory, changing) {
      const path = pathOf(step);
      writeFileSync(path, "old");
      const isDone = await step.outcome(
        changing.under(() => files.writeFile(path, memory.data as Uint8Array, { atomic: true })).then(() => true),
      );
      if (isDone) return checkFile(step, path, memory, undefined);
      if (readFileSync(path, "utf8") !== "old") step.violation("an atomic write that failed has changed the file");
      rmSync(path);
    },
  };

  const read: MemoryOperation = {
    name: "FileHandle.read",
    takes: "view",
    bytesMax: LARGE,
    async run(step, memory, changing) {
      const [offset, length] = part(step, memory.bytes);
      const position = step.pick([0, null, step.below(SOURCE_BYTES), SOURCE_BYTES - 10, FAR]);
      const buffer = memory.data as Uint8Array;
      await withFile(sourcePath, "r", (file) =>
        step.outcome<unknown>(
          changing.under(() =>
            step.oneIn(2)
              ? file.read(buffer, offset, length, position)
              : file.read({ buffer, offset: offset ?? null, length: length ?? null, position }),
          ),
        ),
      );
      check(step, "the memory", memory.now(), memory.letters | SOURCE_LETTERS);
    },
  };

  const readv: MemoryOperation = {
    name: "FileHandle.readv",
    takes: "view",
    bytesMax: LARGE,
    async run(step, memory, changing) {
      const view = memory.data as Uint8Array;
      const views = Array.from({ length: memory.bytes > 2000 ? 1 : 1 + step.below(4) }, () => view);
      await withFile(sourcePath, "r", (file) =>
        step.outcome(changing.under(() => file.readv(views, step.pick([0, null, SOURCE_BYTES - 10])))),
      );
      check(step, "the memory", memory.now(), memory.letters | SOURCE_LETTERS);
    },
  };

  const fresh: MemoryOperation = {
    name: "readFile, read() and readable",
    takes: "bytes",
    bytesMax: LARGE,
    async run(step, memory, changing) {
      const path = pathOf(step, "fresh");
      writeFileSync(path, memory.now());
      const { length } = readFileSync(path);
      const [content] = changing.under(() => [
        step.pick<() => Promise<Uint8Array>>([
          () => files.readFile(path),
          () => withFile(path, "r", (file) => file.readFile() as Promise<Buffer>),
          () => withFile(path, "r", (file) => file.readAll()),
          () => withFile(path, "r", async (file) => new Response(file.readable() as ReadableStream).bytes()),
          () =>
            withFile(path, "r", async (file) => {
              const { buffer, bytesRead } = await file.read({ length: length + step.below(50_000) });
              // The caller may see the rest of the buffer, so it must be zeroes.
              check(step, "the fresh buffer", buffer, memory.letters);
              return buffer.subarray(0, bytesRead);
            }),
        ])(),
      ]);
      const bytes = (await content)!;
      check(step, "what was read", bytes, memory.letters);
      check(step, "the memory behind it", new Uint8Array(bytes.buffer), memory.letters);
      if (bytes.length !== length) step.violation(`${bytes.length} bytes were read of a file of ${length}`);
      rmSync(path);
    },
  };

  const copy: MemoryOperation = {
    name: "copyFile",
    weight: 2,
    takes: "bytes",
    bytesMax: LARGE,
    async run(step, memory, changing) {
      const [from, to] = [pathOf(step, "from"), pathOf(step, "to")];
      writeFileSync(from, memory.now());
      const { length } = readFileSync(from);
      await changing.under(() => files.copyFile(from, to));
      checkFile(step, to, memory, length);
      rmSync(from);
    },
  };

  const stream: MemoryOperation = {
    name: "FileHandle.writable",
    takes: "bytes",
    bytesMax: LARGE,
    async run(step, memory, changing) {
      const path = pathOf(step);
      await withFile(path, "w", async (file) => {
        const writer = file.writable().getWriter();
        // After an error the stream is broken, and every further call gets the same error.
        const isDone = await step.outcome(
          changing.under(() => writer.write(memory.data as Uint8Array)).then(() => true),
        );
        if (isDone) await step.outcome(Promise.all([writer.write(memory.data as Uint8Array), writer.close()]));
        else await writer.closed.catch(() => {});
      });
      checkFile(step, path, { ...memory, bytesMax: memory.bytesMax * 2 }, undefined);
    },
  };

  const direct: MemoryOperation = {
    name: "files with O_DIRECT",
    weight: 1,
    takes: "bytes",
    bytesMax: LARGE,
    async run(step, memory, changing) {
      const path = pathOf(step, "direct");
      const file = await step.outcome(files.open(path, "w+", { direct: true }));
      if (file === undefined) return;
      const bytes = memory.bytes - (memory.bytes % 4096);
      const position = step.oneIn(2) ? 0 : null;
      const view = memory.data as Uint8Array;
      await step.outcome(changing.under(() => file.write(view, 0, bytes, position)));
      const { buffer, bytesRead } = await file.read({ length: 65_536, position: 0 });
      check(step, "what was read", buffer.subarray(0, bytesRead), memory.letters);
      await step.outcome(file.read(view, 0, bytes, 0));
      check(step, "the memory", memory.now(), memory.letters);
      await file.close();
      checkFile(step, path, memory, undefined);
    },
  };

  return {
    operations: [write, writev, writeFile, atomic, read, readv, fresh, copy, stream, direct],
    close() {
      if (readFileSync(sourcePath).some((byte) => (lettersOf(byte) & ~ALPHABET) !== 0))
        throw new Error("the source has changed");
    },
  };
}
