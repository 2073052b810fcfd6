/**
 * Sends a part of a file as a response's body: read by the ring into the memory that is sent, so that no byte passes through JavaScript.
 *
 * Guarantees: the head leaves with the file's first bytes, so that a file that cannot be read is still an error for the handler; what waits
 * for the client is bounded; the file is closed when it was read, and when the client is gone.
 */
import { FileReader } from "../fs/file-reader.ts";
import type { Chunk } from "../ring/arena.ts";
import { SystemError } from "../sys/errno.ts";
import type { BodySender, BodyTarget } from "./body-sender.ts";
import type { FileBody } from "./file-plan.ts";

/** Bytes of one read: large enough to make the calls cheap, small enough to be still in the cache when they are sent. */
const READ_BYTES = 262144;
/** Bytes that are read ahead of what the client has taken. */
const READ_AHEAD_BYTES = 524288;

export class FileSender implements BodySender {
  private readonly target: BodyTarget;
  private readonly head: string;
  private readonly reader: FileReader;
  private offset: number;
  private left: number;
  private headSent = false;
  private reading = false;

  constructor(target: BodyTarget, head: string, { fd, offset, bytes }: FileBody) {
    this.target = target;
    this.head = head;
    this.offset = offset;
    this.left = bytes;
    this.reader = new FileReader(target.transport.reactor, fd, (chunk, result) => this.wasRead(chunk, result));
  }

  start(): void {
    const chunk = this.allocate(this.head.length);
    chunk.length = chunk.buffer.latin1Write(this.head, 0, this.head.length);
    this.read(chunk);
  }

  drained(): void {
    if (!this.reading) this.read(this.allocate(0));
  }

  abort(): void {
    this.reader.close();
  }

  private allocate(headBytes: number): Chunk {
    return this.target.transport.reactor.arena.allocate(Math.min(headBytes + this.left, READ_BYTES));
  }

  private read(chunk: Chunk): void {
    this.reading = true;
    this.reader.read(chunk, Math.min(this.left, chunk.room), this.offset);
  }

  private wasRead(chunk: Chunk, result: number): void {
    const { target } = this;
    const { transport } = target;
    this.reading = false;
    if (result <= 0) {
      transport.reactor.arena.free(chunk);
      this.reader.close();
      const error =
        result < 0
          ? new SystemError(-result, "read")
          : new Error(`the file ended ${this.left} bytes before its length`);
      return target.bodyFailed(error, this.headSent);
    }
    this.headSent = true;
    this.offset += result;
    this.left -= result;
    chunk.length += result;
    transport.append(chunk);
    target.bodyProgressed();
    if (this.left === 0) {
      this.reader.close();
      return target.bodySent();
    }
    if (transport.queuedBytes < READ_AHEAD_BYTES) this.read(this.allocate(0));
    else transport.requestDrain();
  }
}
