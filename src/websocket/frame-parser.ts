/**
 * Reads the frames that clients send (RFC 6455 section 5) and puts the messages in them together.
 *
 * Guarantees: bytes may come in pieces of any size; what violates the protocol is told as soon as it shows; a length is checked against
 * the limit before a byte of the payload is kept, and memory grows with what has come, not with what was promised; control frames are
 * handed out between the fragments of a message (section 5.4). Payloads are unmasked where they lie; a message that lies in one piece is
 * handed out from there, another is copied once. Leaves to others: decompression, and the UTF-8 of messages that are compressed or whole.
 */
import { ByteQueue } from "../transport/byte-queue.ts";
import { checkUtf8 } from "./utf8.ts";
import { unmask } from "./unmask.ts";

/** Section 5.2. */
export const Opcode = { Continuation: 0, Text: 1, Binary: 2, Close: 8, Ping: 9, Pong: 10 } as const;

/** Section 7.4.1. */
export const CloseCode = {
  Normal: 1000,
  GoingAway: 1001,
  Protocol: 1002,
  NoStatus: 1005,
  Abnormal: 1006,
  Data: 1007,
  TooBig: 1009,
} as const;

/** Who hears of what the frames hold. Bytes lie from `start` to `end` and are the parser's again when a method returns. */
export interface FrameSink {
  /** False ends the parsing, between frames. */
  readonly isOpen: boolean;
  readonly messageBytesMax: number;
  /** Whether a message may be compressed (RFC 7692). */
  readonly inflates: boolean;
  onMessage(message: Message, memory: Buffer, start: number, end: number): void;
  onControl(opcode: number, memory: Buffer, start: number, end: number): void;
  /** The connection has failed (section 7.1.7), for this close code and reason. Nothing is parsed afterwards. */
  onViolation(code: number, reason: string): void;
}

/** What is known of a message that is handed out. */
export interface Message {
  readonly isText: boolean;
  readonly isCompressed: boolean;
  /** Known to be ASCII. */
  readonly isAscii: boolean;
  /** Known to be UTF-8, if it is text and not compressed. */
  readonly isChecked: boolean;
  /** Its memory is nobody else's, and may be kept. */
  readonly isOwn: boolean;
}

const State = {
  /** Between frames, or in a frame's head. */
  Head: 0,
  /** The payload of a data frame. */
  Data: 1,
  /** The payload of a control frame. */
  Control: 2,
} as const;

const HEAD_BYTES_MAX = 14;
const CONTROL_BYTES_MAX = 125;
/** By how much deflate may lengthen what cannot be compressed: less than a thousandth, and a few bytes. */
const expandedMax = (bytes: number): number => bytes + (bytes >>> 10) + 64;

export class FrameParser implements Message {
  private state: (typeof State)[keyof typeof State] = State.Head;
  private readonly head = Buffer.alloc(HEAD_BYTES_MAX);
  private headBytes = 0;
  private readonly key = new Uint8Array(4);
  private opcode = 0;
  private isFinal = false;
  private payloadLeft = 0;
  private payloadDone = 0;
  /** Of the message that is being received: 0 when none is. */
  private messageOpcode = 0;
  private readonly message = new ByteQueue();
  /** How far its text is known to be valid. */
  private checkedBytes = 0;
  private control: Buffer | null = null;
  private sink!: FrameSink;

  isCompressed = false;
  isAscii = false;
  isChecked = false;
  isOwn = false;
  isText = false;

  /** Nothing has begun: another connection may use the parser. */
  get isIdle(): boolean {
    return this.state === State.Head && this.headBytes === 0 && this.messageOpcode === 0;
  }

  /** Forgets what has begun. */
  reset(): void {
    this.state = State.Head;
    this.headBytes = 0;
    this.forgetMessage();
  }

  feed(memory: Buffer, start: number, end: number, sink: FrameSink): void {
    this.sink = sink;
    for (let at = start; at < end && sink.isOpen;) {
      switch (this.state) {
        case State.Head:
          at = this.takeHead(memory, at, end);
          break;
        case State.Data:
          at = this.takeData(memory, at, end);
          break;
        case State.Control:
          at = this.takeControl(memory, at, end);
          break;
      }
    }
  }

  // ---- heads -----------------------------------------------------------------------------------------------------

  private takeHead(memory: Buffer, at: number, end: number): number {
    let bytes = memory;
    let from = at;
    let available = end - at;
    const before = this.headBytes;
    if (before > 0) {
      memory.copy(this.head, before, at, end);
      bytes = this.head;
      from = 0;
      available = Math.min(HEAD_BYTES_MAX, before + available);
    }
    const length = this.readHead(bytes, from, available);
    if (length < 0) return end;
    if (length === 0) {
      if (before === 0) memory.copy(this.head, 0, at, end);
      this.headBytes = available;
      return end;
    }
    this.headBytes = 0;
    const next = at + length - before;
    const isControl = this.opcode >= Opcode.Close;
    this.state = isControl ? State.Control : State.Data;
    if (this.payloadLeft === 0) {
      if (isControl) this.takeControl(memory, next, next);
      else this.takeData(memory, next, next);
    }
    return next;
  }

  /** Returns the head's length, 0 when bytes of it are missing, or -1 after a violation. */
  private readHead(bytes: Buffer, at: number, available: number): number {
    const first = bytes[at]!;
    const opcode = first & 0x0f;
    const isFinal = first >= 0x80;
    const isControl = opcode >= Opcode.Close;
    const isContinuation = opcode === Opcode.Continuation;
    if ((first & 0x30) !== 0) return this.violate(CloseCode.Protocol, "Received unexpected RSV2 or RSV3 bit");
    // The first frame of a message tells that the message is compressed (RFC 7692 section 6).
    const isCompressed = (first & 0x40) !== 0;
    if (isCompressed && (!this.sink.inflates || isControl || isContinuation))
      return this.violate(CloseCode.Protocol, "Received unexpected RSV1 bit");
    if (isControl ? opcode > Opcode.Pong : opcode > Opcode.Binary)
      return this.violate(CloseCode.Protocol, "Received invalid opcode");
    if (isControl) {
      if (!isFinal) return this.violate(CloseCode.Protocol, "Received fragmented control frame");
    } else if (isContinuation !== (this.messageOpcode !== 0)) {
      return this.violate(
        CloseCode.Protocol,
        isContinuation
          ? "Received continuation frame outside a fragmented message"
          : "Received new message inside a fragmented message",
      );
    }
    if (available < 2) return 0;
    const second = bytes[at + 1]!;
    if (second < 0x80) return this.violate(CloseCode.Protocol, "Received an incorrectly masked frame");
    let length = second & 0x7f;
    let head = 2;
    if (isControl) {
      if (length > CONTROL_BYTES_MAX) return this.violate(CloseCode.Protocol, "Received too big control frame");
    } else {
      if (length === 126) {
        head = 4;
        if (available < 4) return 0;
        length = bytes.readUInt16BE(at + 2);
        if (length < 126) return this.violate(CloseCode.Protocol, "Received a length that is not minimal");
      } else if (length === 127) {
        head = 10;
        if (available < 10) return 0;
        length = bytes.readUInt32BE(at + 2) * 0x100000000 + bytes.readUInt32BE(at + 6);
        if (length < 65536) return this.violate(CloseCode.Protocol, "Received a length that is not minimal");
      }
      const max = this.sink.messageBytesMax;
      const isDeflated = isContinuation ? this.isCompressed : isCompressed;
      if (this.message.length + length > (isDeflated ? expandedMax(max) : max))
        return this.violate(CloseCode.TooBig, "Received too big message");
    }
    if (available < head + 4) return 0;
    for (let i = 0; i < 4; i++) this.key[i] = bytes[at + head + i]!;
    this.opcode = opcode;
    this.isFinal = isFinal;
    this.payloadLeft = length;
    this.payloadDone = 0;
    if (!isControl && !isContinuation) {
      this.messageOpcode = opcode;
      this.isText = opcode === Opcode.Text;
      this.isCompressed = isCompressed;
    }
    return head + 4;
  }

  // ---- payloads --------------------------------------------------------------------------------------------------

  private takeControl(memory: Buffer, at: number, end: number): number {
    const part = Math.min(this.payloadLeft, end - at);
    unmask(memory, at, at + part, this.key, this.payloadDone);
    let bytes = memory;
    let start = at;
    const done = this.payloadDone + part;
    if (part < this.payloadLeft || this.payloadDone > 0) {
      this.control ??= Buffer.alloc(CONTROL_BYTES_MAX);
      memory.copy(this.control, this.payloadDone, at, at + part);
      bytes = this.control;
      start = 0;
    }
    this.payloadDone = done;
    this.payloadLeft -= part;
    if (this.payloadLeft > 0) return at + part;
    this.state = State.Head;
    this.sink.onControl(this.opcode, bytes, start, start + done);
    return at + part;
  }

  private takeData(memory: Buffer, at: number, end: number): number {
    const part = Math.min(this.payloadLeft, end - at);
    const isAscii = unmask(memory, at, at + part, this.key, this.payloadDone);
    this.payloadDone += part;
    this.payloadLeft -= part;
    const isWhole = this.payloadLeft === 0 && this.isFinal;
    const { message } = this;
    if (isWhole && message.length === 0) {
      this.state = State.Head;
      this.messageOpcode = 0;
      this.isAscii = isAscii;
      this.isChecked = this.isOwn = false;
      this.sink.onMessage(this, memory, at, at + part);
      return at + part;
    }
    this.append(memory, at, part);
    if (this.isText && !this.isCompressed && !this.checkText(isWhole)) {
      this.violate(CloseCode.Data, "Received invalid UTF-8");
      return end;
    }
    if (this.payloadLeft === 0) this.state = State.Head;
    if (!isWhole) return at + part;
    const { memory: bytes, length } = message;
    this.forgetMessage();
    this.isAscii = false;
    this.isChecked = true;
    // Nothing but the message: the rest of the memory is not the handler's to see.
    this.isOwn = bytes.length === length;
    this.sink.onMessage(this, bytes, 0, length);
    return at + part;
  }

  /** Keeps a part of a message. The limit was checked by its frame's head. */
  private append(memory: Buffer, at: number, bytes: number): void {
    const { message, isFinal, sink } = this;
    const expected = message.length + bytes + this.payloadLeft;
    message.append(memory, at, at + bytes, isFinal ? expected : Math.max(expected, sink.messageBytesMax));
  }

  private checkText(isWhole: boolean): boolean {
    const checked = checkUtf8(this.message.memory, this.checkedBytes, this.message.length);
    if (checked < 0 || (isWhole && checked < this.message.length)) return false;
    this.checkedBytes = checked;
    return true;
  }

  private forgetMessage(): void {
    this.messageOpcode = 0;
    this.message.clear();
    this.checkedBytes = 0;
  }

  private violate(code: number, reason: string): -1 {
    this.reset();
    this.sink.onViolation(code, reason);
    return -1;
  }
}
