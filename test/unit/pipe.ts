/** A pipe whose ends block, which io_uring waits for: a FIFO whose name is gone. */
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
    this.readEnd = openSync(path, "r+"); // For reading alone it would wait for a writer.
    this.writeEnd = openSync(path, "w");
    rmSync(directory, { recursive: true });
  }

  [Symbol.dispose](): void {
    closeSync(this.readEnd);
    closeSync(this.writeEnd);
  }
}
