/** A pipe with blocking ends, on which io_uring waits: a FIFO whose name has been removed. */
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class Pipe {
  readonly readEnd: number;
  readonly writeEnd: number;

  constructor() {
    const directory = mkdtempSync(join(tmpdir(), "ringloop-pipe-"));
    const path = join(directory, "fifo");
    const made = Bun.spawnSync(["mkfifo", path]);
    if (!made.success) throw new Error(`mkfifo: ${made.stderr}`);
    this.readEnd = openSync(path, "r+"); // With "r", open(2) would wait for a writer.
    this.writeEnd = openSync(path, "w");
    rmSync(directory, { recursive: true });
  }

  [Symbol.dispose](): void {
    closeSync(this.readEnd);
    closeSync(this.writeEnd);
  }
}
