/**
 * Sends a part of a file as a response's body.
 *
 * Bytes in the page cache go from there to the socket (sendfile). Small files, and bytes that are
 * not in the cache, go through memory that the ring reads into. No byte passes through JavaScript,
 * and nothing blocks on a disk.
 *
 * Guarantees: the number of bytes that wait for the client is bounded. The file is closed when it
 * was sent, and when the client is gone. The head of a small file leaves together with its first
 * bytes. So if the file cannot be read, the error handler can still answer.
 */
import { FileReader } from "../../fs/file-reader.ts";
import type { Chunk } from "../../ring/arena.ts";
import { EAGAIN, EINTR, ENODATA, SystemError } from "../../sys/errno.ts";
import type { BodySender, BodyTarget } from "../../http/body-sender.ts";
import type { FileBody } from "./file-plan.ts";

/**
 * Largest file, in bytes, for which one read and one send together with the head cost less than
 * sendfile.
 */
const SMALL_BYTES = 65536;
/** Bytes of one read of a file that is not in the page cache. */
const READ_BYTES = 262144;
/** Bytes of one sendfile. After it, other connections get their turn. */
const SENDFILE_BYTES = 1048576;

export class FileSender implements BodySender {
  readonly isFinite = true;

  private readonly target: BodyTarget;
  private readonly reader: FileReader;
  /** Bytes of the head that are not sent yet. */
  private head: Buffer;
  /** Character code of the first digit of the head's status. */
  private readonly statusDigit: number;
  private headSent = false;
  private offset: number;
  private left: number;
  private reading = false;

  constructor(target: BodyTarget, head: string, { fd, offset, bytes }: FileBody) {
    this.target = target;
    this.head = Buffer.from(head, "latin1");
    this.statusDigit = head.charCodeAt(9);
    this.offset = offset;
    this.left = bytes;
    this.reader = new FileReader(target.host.reactor, fd, (chunk, result) => this.wasRead(chunk, result));
  }

  start(): void {
    const { transport } = this.target;
    if (this.left <= SMALL_BYTES) this.read(this.head.length + this.left);
    else if (transport.isDrained) this.send();
    else transport.requestDrain();
  }

  drained(): void {
    if (!this.reading) this.send();
  }

  abort(): void {
    this.reader.close();
  }

  /** Sends bytes from the page cache to the socket. */
  private send(): void {
    const { transport } = this.target;
    const { head } = this;
    const result = transport.sendFile(head, this.reader.fd, this.offset, Math.min(this.left, SENDFILE_BYTES));
    if (result > 0) {
      this.countHead();
      this.head = head.subarray(Math.min(result, head.length));
      this.advance(Math.max(result - head.length, 0));
      if (this.left > 0) transport.requestWritable();
      return;
    }
    switch (-result) {
      case EAGAIN:
      case EINTR:
        return transport.requestWritable();
      case ENODATA:
        return this.read(READ_BYTES);
      case 0:
        return this.fail(this.tooShort());
      default:
        return this.fail(new SystemError(-result, "sendfile"));
    }
  }

  /** Reads into a chunk of the arena. The unsent bytes of the head come first in the chunk. */
  private read(bytes: number): void {
    const { head } = this;
    const chunk = this.target.host.reactor.arena.allocate(bytes);
    chunk.buffer.set(head);
    chunk.length = head.length;
    this.head = head.subarray(head.length);
    this.reading = true;
    this.reader.read(chunk, Math.min(this.left, chunk.room), this.offset);
  }

  private wasRead(chunk: Chunk, result: number): void {
    const { transport } = this.target;
    this.reading = false;
    if (result <= 0) {
      this.target.host.reactor.arena.free(chunk);
      return this.fail(result < 0 ? new SystemError(-result, "read") : this.tooShort());
    }
    this.countHead();
    chunk.length += result;
    transport.outbox.append(chunk);
    transport.outbox.hasten();
    this.advance(result);
    if (this.left > 0) transport.requestDrain();
  }

  /** Notes that the head, or a part of it, has left. */
  private countHead(): void {
    if (this.headSent) return;
    this.headSent = true;
    this.target.host.reactor.lane.traffic.countAnswer(this.statusDigit);
  }

  private advance(bytes: number): void {
    this.offset += bytes;
    this.left -= bytes;
    this.target.bodyProgressed();
    if (this.left > 0) return;
    this.reader.close();
    this.target.bodySent();
  }

  private tooShort(): Error {
    return new Error(`the file ended ${this.left} bytes before its length`);
  }

  private fail(error: Error): void {
    this.reader.close();
    this.target.bodyFailed(error, this.headSent);
  }
}
