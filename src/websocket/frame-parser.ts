/**
 * Parses the frames of a client (RFC 6455 section 5) and joins the fragments of messages.
 *
 * Guarantees:
 * - Bytes may arrive in pieces of any size.
 * - A violation of the protocol is reported at the first byte that shows it.
 * - The parser checks a length against the limit before it stores a byte of the payload. Its memory
 *   grows with the bytes that have arrived, not with the announced length.
 * - A control frame between two fragments of a message is reported at once (section 5.4).
 * - A payload is unmasked in place. A message that lies in one piece is reported from there. Any
 *   other message is copied once.
 *
 * Leaves to others: decompression, and the UTF-8 check of messages that are compressed or lie in
 * one piece.
 */
import { ByteQueue } from "../transport/byte-queue.ts";
import { checkUtf8 } from "./utf8.ts";
import { unmask } from "./unmask.ts";

/** The opcodes of frames (section 5.2). */
export const Opcode = { Continuation: 0, Text: 1, Binary: 2, Close: 8, Ping: 9, Pong: 10 } as const;

/** The codes of Close frames that the server uses (section 7.4.1). */
export const CloseCode = {
  Normal: 1000,
  GoingAway: 1001,
  Protocol: 1002,
  NoStatus: 1005,
  Abnormal: 1006,
  Data: 1007,
  TooBig: 1009,
} as const;

/**
 * Receives the messages and control frames of a connection. Their bytes lie in `memory` from
 * `start` to `end`, and are valid until the method returns.
 */
export interface FrameSink {
  /** Whether the parser may go on. It looks before each head and each piece of a payload. */
  readonly isOpen: boolean;
  /** Largest length of a message in bytes, after decompression. */
  readonly messageBytesMax: number;
  /** Whether a message may be compressed (RFC 7692). */
  readonly inflates: boolean;
  /** Called with a whole message. */
  onMessage(message: Message, memory: Buffer, start: number, end: number): void;
  /** Called with a control frame. */
  onControl(opcode: number, memory: Buffer, start: number, end: number): void;
  /**
   * Called when the client violates the protocol (section 7.1.7). `code` and `reason` are for the
   * Close frame. The parser drops the rest of the bytes.
   */
  onViolation(code: number, reason: string): void;
}

/** The properties of a message that `onMessage` gets. */
export interface Message {
  readonly isText: boolean;
  readonly isCompressed: boolean;
  /** Whether the bytes are known to be ASCII. */
  readonly isAscii: boolean;
  /** Whether an uncompressed text is known to be valid UTF-8. */
  readonly isChecked: boolean;
  /** Whether nobody else uses the memory, so that the sink may keep it. */
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
/**
 * Returns the largest compressed length of a message of `bytes` bytes. Deflate lengthens data that
 * it cannot compress by less than a thousandth, and a few bytes.
 */
const expandedMax = (bytes: number): number => bytes + (bytes >>> 10) + 64;

export class FrameParser implements Message {
  private state: (typeof State)[keyof typeof State] = State.Head;
  private readonly head = Buffer.alloc(HEAD_BYTES_MAX);
  /** Bytes in `head`: the head of the frame has arrived so far. */
  private headBytes = 0;
  /** The masking key of the current frame. */
  private readonly key = new Uint8Array(4);
  private opcode = 0;
  private isFinal = false;
  /** Bytes of the payload that have not arrived yet. */
  private payloadLeft = 0;
  /** Bytes of the payload that have arrived. */
  private payloadDone = 0;
  /** Opcode of the unfinished message. 0 between two messages. */
  private messageOpcode = 0;
  /** Bytes of the unfinished message. */
  private readonly message = new ByteQueue();
  /** Bytes of the unfinished message that are known to be valid UTF-8. */
  private checkedBytes = 0;
  /** Payload of a control frame that arrives in pieces. Made for the first one. */
  private control: Buffer | null = null;
  private sink!: FrameSink;

  isCompressed = false;
  isAscii = false;
  isChecked = false;
  isOwn = false;
  isText = false;

  /** Whether no frame and no message has begun. Another connection may use the parser then. */
  get isIdle(): boolean {
    return this.state === State.Head && this.headBytes === 0 && this.messageOpcode === 0;
  }

  /** Drops the unfinished frame and the unfinished message. */
  reset(): void {
    this.state = State.Head;
    this.headBytes = 0;
    this.forgetMessage();
  }

  /** Parses the bytes of `memory` from `start` to `end`, and reports to `sink`. Unmasks in place. */
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

  // ---- heads -----------------------------------------------------------------------------------

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

  /** Returns the length of the head, 0 if bytes of it are missing, or -1 after a violation. */
  private readHead(bytes: Buffer, at: number, available: number): number {
    const first = bytes[at]!;
    const opcode = first & 0x0f;
    const isFinal = first >= 0x80;
    const isControl = opcode >= Opcode.Close;
    const isContinuation = opcode === Opcode.Continuation;
    if ((first & 0x30) !== 0) return this.violate(CloseCode.Protocol, "Received unexpected RSV2 or RSV3 bit");
    // RSV1 of the first frame says that the whole message is compressed (RFC 7692 section 6).
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

  // ---- payloads --------------------------------------------------------------------------------

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
    const { message, key, payloadDone } = this;
    this.payloadDone += part;
    this.payloadLeft -= part;
    const isWhole = this.payloadLeft === 0 && this.isFinal;
    if (isWhole && message.length === 0) {
      this.isAscii = unmask(memory, at, at + part, key, payloadDone);
      this.state = State.Head;
      this.messageOpcode = 0;
      this.isChecked = this.isOwn = false;
      this.sink.onMessage(this, memory, at, at + part);
      return at + part;
    }
    this.reserve(part);
    unmask(memory, at, at + part, key, payloadDone, message.memory, message.end);
    message.end += part;
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
    // Memory beyond the message may contain other bytes, which a handler must not see.
    this.isOwn = bytes.length === length;
    this.sink.onMessage(this, bytes, 0, length);
    return at + part;
  }

  /** Makes room for a part of a message. `readHead` has checked the length of its frame. */
  private reserve(bytes: number): void {
    const { message, isFinal, sink } = this;
    const expected = message.length + bytes + this.payloadLeft;
    message.reserve(bytes, expected, isFinal ? expected : Math.max(expected, sink.messageBytesMax));
  }

  /** Whether the stored text is valid UTF-8, or can still become valid if the message goes on. */
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
