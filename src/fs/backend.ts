/**
 * What files are made of: the operations beneath a FileHandle and the functions of `ringloop/fs`, on the ring or, where there is none, on
 * node:fs. Arguments are checked by then; errors have Node's `code`, `errno`, `syscall` and `path`.
 */
import { reactorFor } from "../reactor/fallback.ts";
import type { OperationOptions } from "../reactor/operation.ts";
import type { DirectPosition } from "./direct-position.ts";
import { NodeBackend } from "./node-backend.ts";
import { RingBackend } from "./ring-backend.ts";
import type { Stats } from "./stats.ts";

export interface ReadResult<View> {
  bytesRead: number;
  buffer: View;
}

export interface Backend {
  open(path: string, flags: number, mode: number, options?: OperationOptions): Promise<number>;
  close(fd: number): Promise<void>;
  /** `position` -1 is the file's own. `direct`, of a file that is open with O_DIRECT: the kernel wants aligned memory. */
  read<View extends NodeJS.ArrayBufferView>(
    fd: number,
    view: View,
    offset: number,
    length: number,
    position: number,
    direct: DirectPosition | null,
    options?: OperationOptions,
  ): Promise<ReadResult<View>>;
  /** Into memory that nobody else has until the promise is fulfilled, and whoever is given it then. */
  readFresh(
    fd: number,
    bytes: Buffer,
    position: number,
    direct: DirectPosition | null,
    options?: OperationOptions,
  ): Promise<ReadResult<Buffer>>;
  /** The number of bytes, which may be fewer. */
  write(
    fd: number,
    bytes: Uint8Array,
    position: number,
    direct: DirectPosition | null,
    options?: OperationOptions,
  ): Promise<number>;
  readv(fd: number, views: Uint8Array[], position: number, direct: DirectPosition | null): Promise<number>;
  writev(fd: number, views: Uint8Array[], position: number, direct: DirectPosition | null): Promise<number>;
  sync(fd: number): Promise<void>;
  datasync(fd: number): Promise<void>;
  truncate(fd: number, bytes: number): Promise<void>;
  allocate(fd: number, mode: number, position: number, bytes: number): Promise<void>;
  fstat(fd: number): Promise<Stats>;
  stat(path: string, followsLinks: boolean, options?: OperationOptions): Promise<Stats>;
  rename(path: string, newPath: string, options?: OperationOptions): Promise<void>;
  unlink(path: string, options?: OperationOptions): Promise<void>;
  rmdir(path: string, options?: OperationOptions): Promise<void>;
  mkdir(path: string, mode: number, options?: OperationOptions): Promise<void>;
  symlink(target: string, path: string, options?: OperationOptions): Promise<void>;
  link(path: string, newPath: string, options?: OperationOptions): Promise<void>;
}

let chosen: Backend | undefined;

/** The thread's: on the ring, or, after one warning that says why, on node:fs. */
export function backend(): Backend {
  if (chosen !== undefined) return chosen;
  const reactor = reactorFor("ringloop/fs", {});
  return (chosen = reactor ? new RingBackend(reactor) : new NodeBackend());
}
