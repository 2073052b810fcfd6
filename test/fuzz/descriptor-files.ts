/** Files that are opened and closed during their operations. Operations are also abandoned. */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { files, reactor as used } from "../behaviour/subject.ts";
import type { Step } from "./campaign.ts";
import { Owner, TAG_BYTES, whenever } from "./owner.ts";

type Handle = Awaited<ReturnType<typeof files.open>>;
export type Life = (step: Step) => Promise<void>;

const { O_RDWR, O_CREAT, O_TRUNC, O_RDONLY } = constants;
const AT_FDCWD = -100;

/** The signal or time limit that abandons an operation, if any. */
interface Limits {
  signal?: AbortSignal;
  timeoutMs?: number;
}

export function fileLives(directory: string): Record<string, Life> {
  const reactor = used()!;
  let names = 0;
  const freshPath = (): string => join(directory, `f${names++}`);

  function limits(step: Step): Limits {
    if (!step.oneIn(3)) return {};
    if (step.oneIn(3)) return { timeoutMs: step.below(3) };
    const abort = new AbortController();
    void whenever(step).then(() => abort.abort());
    return { signal: abort.signal };
  }

  function finish(owner: Owner, path: string): void {
    if (!existsSync(path)) return;
    owner.check("a file", readFileSync(path));
    rmSync(path);
  }

  /** Runs several operations at once, and closes the file before they end. */
  async function closedUnder(step: Step, file: Handle, start: () => Promise<unknown>): Promise<void> {
    const running = Array.from({ length: 1 + step.below(3) }, () => step.outcome(start()));
    await whenever(step);
    const closed = file.close();
    if (step.oneIn(4)) running.push(step.outcome(start())); // The handle is closed already.
    await Promise.all(running);
    await closed;
  }

  return {
    "a file that is written and closed": async (step) => {
      const owner = new Owner(step);
      const path = freshPath();
      const file = await files.open(path, step.pick(["w", "w+", "a"]));
      await closedUnder(step, file, () => {
        const bytes = owner.randomBytes();
        const position = step.oneIn(2) ? null : TAG_BYTES * step.below(1000);
        return step.pick<() => Promise<unknown>>([
          () => file.write(bytes, 0, bytes.length, position),
          () => file.writev([bytes, bytes], position),
          () => file.writeFile(bytes, limits(step)),
          () => files.appendFile(file, bytes),
          async () => {
            const writer = file.writable(position === null ? {} : { start: position }).getWriter();
            writer.closed.catch(() => {});
            await writer.write(bytes);
            await writer.write(bytes);
          },
          () => file.truncate(bytes.length),
          () => file.sync(),
          () => file.stat(),
        ])();
      });
      finish(owner, path);
    },

    "a file that is read and closed": async (step) => {
      const owner = new Owner(step);
      const path = freshPath();
      const content = owner.randomBytes();
      writeFileSync(path, content);
      const file = await files.open(path, "r");
      await closedUnder(step, file, async () => {
        const from = TAG_BYTES * step.below(content.length / TAG_BYTES);
        const into = Buffer.alloc(content.length);
        const bytes = await step.pick<() => Promise<Uint8Array>>([
          async () => into.subarray(0, (await file.read(into, 0, into.length, from)).bytesRead),
          async () => {
            const { bytesRead, buffer } = await file.read({ length: into.length, position: from, ...limits(step) });
            return buffer.subarray(0, bytesRead);
          },
          async () => into.subarray(0, (await file.readv([into], from)).bytesRead),
          async () => {
            const pieces: Uint8Array[] = [];
            for await (const piece of file.readable({ start: from, chunkBytes: TAG_BYTES * 500 }))
              pieces.push(piece as Uint8Array);
            return Buffer.concat(pieces);
          },
        ])();
        owner.check("what was read", bytes, from);
      });
      finish(owner, path);
    },

    "a whole file": async (step) => {
      const owner = new Owner(step);
      const path = freshPath();
      const content = owner.randomBytes(500_000);
      await step.outcome(files.writeFile(path, content, limits(step)));
      if (existsSync(path)) {
        const read = await step.outcome(files.readFile(path, limits(step) as never));
        if (read !== undefined) owner.check("what was read", Buffer.from(read));
        const copy = `${path}c`;
        await step.outcome(files.copyFile(path, copy, 0, limits(step)));
        finish(owner, copy);
      }
      finish(owner, path);
    },

    "a descriptor of openat, and a chain that closes it": async (step) => {
      const owner = new Owner(step);
      const path = freshPath();
      const fd = await step.outcome(reactor.openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_TRUNC, 0o600, limits(step)));
      if (fd === undefined) return finish(owner, path); // If the file was opened all the same, the reactor closes it.
      const bytes = owner.randomBytes(1_048_576);
      const into = Buffer.alloc(bytes.length);
      const { op } = reactor;
      // After an abandoned close it is unknown whether it has closed. So such a chain has no close.
      const limit = limits(step);
      const closes = limit.signal === undefined && limit.timeoutMs === undefined;
      const chain = [op.write(fd, bytes, 0, limit), op.read(fd, into, 0, limit), ...(closes ? [op.closeFd(fd)] : [])];
      const done = await step.outcome<unknown>(reactor.chain(...chain));
      // The close is the last operation, and does not run after an error.
      if (done === undefined || !closes) await reactor.closeFd(fd);
      owner.check("what was read", into);
      finish(owner, path);
    },

    "a descriptor whose operations are abandoned": async (step) => {
      const owner = new Owner(step);
      const path = freshPath();
      const fd = await reactor.openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_TRUNC, 0o600);
      const bytes = owner.randomBytes(100_000);
      const into = Buffer.alloc(bytes.length);
      const { length } = bytes;
      const running = Array.from({ length: 1 + step.below(3) }, () =>
        step.outcome<unknown>(
          step.pick<() => Promise<unknown>>([
            () => reactor.write(fd, bytes, TAG_BYTES * step.below(100), limits(step)),
            () => reactor.writev(fd, [bytes, bytes], 0, limits(step)),
            () => reactor.read(fd, into, 0, limits(step)),
            () => reactor.ftruncate(fd, length, limits(step)),
            () => reactor.fallocate(fd, 0, 0, length, limits(step)),
            () => reactor.fsync(fd, limits(step)),
            () => reactor.setxattr(fd, "user.ringloop", bytes.subarray(0, TAG_BYTES), 0, limits(step)),
          ])(),
        ),
      );
      await Promise.all(running);
      await reactor.closeFd(fd);
      owner.check("what was read", into);
      finish(owner, path);
    },

    "a pipe": async (step) => {
      const owner = new Owner(step);
      const [readEnd, writeEnd] = await reactor.pipe(0);
      const bytes = owner.bytes(TAG_BYTES * (1 + step.below(400)));
      const into = Buffer.alloc(4096);
      const reading = step.outcome(reactor.read(readEnd, into, -1, limits(step)));
      await whenever(step);
      await step.outcome(reactor.write(writeEnd, bytes, -1));
      await reactor.closeFd(writeEnd);
      const read = await reading;
      if (read !== undefined) owner.check("a pipe", into.subarray(0, read));
      await reactor.closeFd(readEnd);
    },

    "a file of Bun's own": async (step) => {
      const owner = new Owner(step);
      const path = freshPath();
      const fd = openSync(path, "w+");
      const bytes = owner.bytes(TAG_BYTES * (1 + step.below(400)));
      await whenever(step);
      writeSync(fd, bytes, 0, bytes.length, 0);
      await whenever(step);
      const read = Buffer.alloc(bytes.length);
      readSync(fd, read, 0, read.length, 0);
      const { size } = fstatSync(fd);
      if (size !== bytes.length) step.violation(`a file of Bun's own has ${size} bytes, and had ${bytes.length}`);
      owner.check("a file of Bun's own", read);
      closeSync(fd);
      finish(owner, path);
    },

    "a file that is closed in a Response of it": async (step) => {
      const owner = new Owner(step);
      const path = freshPath();
      writeFileSync(path, owner.randomBytes());
      const file = await files.open(path, O_RDONLY);
      const reader = file.readable({ chunkBytes: TAG_BYTES * 1000 }).getReader();
      let at = 0;
      const reading = step.outcome(
        (async () => {
          for (;;) {
            const { done, value } = await reader.read();
            if (done) return;
            owner.check("a stream", value as Uint8Array, at);
            at += (value as Uint8Array).length;
          }
        })(),
      );
      await whenever(step);
      if (step.oneIn(2)) await file.close();
      else if (step.oneIn(3)) void reader.cancel().catch(() => {});
      await reading;
      await file.close();
      finish(owner, path);
    },
  };
}
