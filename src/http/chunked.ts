/**
 * Decodes the chunked transfer coding (RFC 9112 section 7.1) as it arrives.
 *
 * Guarantees: the decoder stops exactly after the message's last byte. It reads, checks and drops
 * extensions and trailers. It refuses sizes that cannot be represented, bare CR or LF, and lines
 * without end.
 */
import { isTokenByte } from "./byte-classes.ts";
import { HEADER_FIELDS_MAX } from "./parser.ts";

const CR = 13;
const LF = 10;
const SP = 32;
const TAB = 9;
const QUOTE = 34;
const COLON = 58;
const SEMICOLON = 59;
const EQUALS = 61;
const BACKSLASH = 92;

export const State = {
  /** In the hexadecimal digits of a chunk's size. */
  Size: 0,
  SizeLf: 1,
  Data: 2,
  DataCr: 3,
  DataLf: 4,
  /** At the start of a trailer line, or of the empty line that ends the message. */
  Trailer: 5,
  TrailerLine: 6,
  TrailerLf: 7,
  EndLf: 8,
  Done: 9,
  /**
   * This state and those below are in the extensions after a size. This one is before an
   * extension's name.
   */
  ExtensionStart: 10,
  ExtensionName: 11,
  /** After white space that follows the name. */
  ExtensionNameEnd: 12,
  /** Before the value. */
  ExtensionEquals: 13,
  ExtensionValue: 14,
  ExtensionQuoted: 15,
  /** After a backslash in the quotes. */
  ExtensionQuotedPair: 16,
  /** Right after the closing quote. */
  ExtensionQuotedEnd: 17,
  /** After white space that follows the value. */
  ExtensionValueEnd: 18,
} as const;

/** Highest number of digits of a size: 2^52 bytes are enough, and stay an exact number. */
const SIZE_DIGITS_MAX = 13;
/**
 * Highest number of bytes of extensions in one message. Nothing in them is used, so they must not
 * keep a server busy.
 */
export const EXTENSION_BYTES_MAX = 16384;

/**
 * Chunks up to this size are put together with their neighbours, so that a tiny chunk costs little
 * more than its bytes.
 */
const GATHERED_CHUNK_BYTES_MAX = 1024;
const gathered = Buffer.allocUnsafeSlow(16384);

/** Receives the decoded bytes. It must use them at once: their memory is used again. */
export interface ChunkSink {
  onBody(bytes: Buffer, start: number, end: number): void;
}

export class ChunkedDecoder {
  private readonly trailerBytesMax: number;
  protected state: number = State.Size;
  private size = 0;
  private digits = 0;
  protected extensionBytes = 0;
  private trailerBytes = 0;
  private trailers = 0;
  private trailerColon = false;

  constructor(trailerBytesMax: number) {
    this.trailerBytesMax = trailerBytesMax;
  }

  get done(): boolean {
    return this.state === State.Done;
  }

  /**
   * Decodes from `start`. Returns the position after the last used byte (`end` unless done), or a
   * negated status (400, 431).
   */
  feed(bytes: Buffer, start: number, end: number, sink: ChunkSink): number {
    let at = start;
    let gatheredBytes = 0;
    let refused = 0;
    while (at < end && refused === 0 && this.state !== State.Done) {
      if (this.state !== State.Data) {
        refused = this.step(bytes[at++]!);
        continue;
      }
      const part = Math.min(this.size, end - at);
      const isSmall = part <= GATHERED_CHUNK_BYTES_MAX;
      if (gatheredBytes > 0 && (!isSmall || gatheredBytes + part > gathered.length)) {
        sink.onBody(gathered, 0, gatheredBytes);
        gatheredBytes = 0;
      }
      if (isSmall) {
        if (part === 1) gathered[gatheredBytes] = bytes[at]!;
        else bytes.copy(gathered, gatheredBytes, at, at + part);
        gatheredBytes += part;
      } else sink.onBody(bytes, at, at + part);
      at += part;
      this.size -= part;
      if (this.size === 0) this.state = State.DataCr;
    }
    if (gatheredBytes > 0) sink.onBody(gathered, 0, gatheredBytes);
    return refused === 0 ? at : refused;
  }

  /** Handles one byte of framing. Returns 0 or a negated status. */
  protected step(byte: number): number {
    switch (this.state) {
      case State.Size: {
        const digit = hexDigit(byte);
        if (digit >= 0) {
          if (++this.digits > SIZE_DIGITS_MAX) return -400;
          this.size = this.size * 16 + digit;
          return 0;
        }
        if (this.digits === 0) return -400;
        if (byte === CR) this.state = State.SizeLf;
        else if (byte === SEMICOLON) this.state = State.ExtensionStart;
        else return -400;
        return 0;
      }
      case State.SizeLf:
        if (byte !== LF) return -400;
        this.state = this.size > 0 ? State.Data : State.Trailer;
        this.digits = 0;
        return 0;
      case State.DataCr:
        this.state = State.DataLf;
        return byte === CR ? 0 : -400;
      case State.DataLf:
        this.state = State.Size;
        return byte === LF ? 0 : -400;
      case State.Trailer:
        if (byte === CR) {
          this.state = State.EndLf;
          return 0;
        }
        this.state = State.TrailerLine;
        this.trailerColon = false;
        if (byte === COLON) return -400;
        if (++this.trailers > HEADER_FIELDS_MAX) return -431;
        return this.countTrailer(byte);
      case State.TrailerLine:
        if (byte === CR) {
          this.state = State.TrailerLf;
          return this.trailerColon ? 0 : -400;
        }
        return this.countTrailer(byte);
      case State.TrailerLf:
        this.state = State.Trailer;
        return byte === LF ? 0 : -400;
      case State.EndLf:
        this.state = State.Done;
        return byte === LF ? 0 : -400;
      default: {
        const next = afterExtensionByte(this.state, byte);
        if (next < 0) return -400;
        this.state = next;
        return byte !== CR && ++this.extensionBytes > EXTENSION_BYTES_MAX ? -400 : 0;
      }
    }
  }

  private countTrailer(byte: number): number {
    if (byte === COLON) this.trailerColon = true;
    else if (!(this.trailerColon ? isFieldByte(byte) : isTokenByte(byte))) return -400;
    return ++this.trailerBytes > this.trailerBytesMax ? -431 : 0;
  }
}

/**
 * Returns the state that follows a byte of an extension, or -1.
 *
 * After the first ";", the grammar is *( BWS ";" BWS name [ BWS "=" BWS value ] ), where a value is
 * a token or quoted (RFC 9112 section 7.1.1). Other extensions are refused, although nothing in
 * them is used: a parser elsewhere that skips to the line's end would see another line.
 */
function afterExtensionByte(state: number, byte: number): number {
  const isBlank = byte === SP || byte === TAB;
  switch (state) {
    case State.ExtensionStart:
      if (isBlank) return state;
      return isTokenByte(byte) ? State.ExtensionName : -1;
    case State.ExtensionName:
      if (isTokenByte(byte)) return state;
      if (byte === EQUALS) return State.ExtensionEquals;
      return isBlank ? State.ExtensionNameEnd : afterExtension(byte);
    case State.ExtensionNameEnd:
      if (isBlank) return state;
      if (byte === EQUALS) return State.ExtensionEquals;
      return byte === SEMICOLON ? State.ExtensionStart : -1;
    case State.ExtensionEquals:
      if (isBlank) return state;
      if (byte === QUOTE) return State.ExtensionQuoted;
      return isTokenByte(byte) ? State.ExtensionValue : -1;
    case State.ExtensionValue:
      if (isTokenByte(byte)) return state;
      return isBlank ? State.ExtensionValueEnd : afterExtension(byte);
    case State.ExtensionQuoted:
      if (byte === QUOTE) return State.ExtensionQuotedEnd;
      if (byte === BACKSLASH) return State.ExtensionQuotedPair;
      return isFieldByte(byte) ? state : -1;
    case State.ExtensionQuotedPair:
      return isFieldByte(byte) ? State.ExtensionQuoted : -1;
    case State.ExtensionQuotedEnd:
      return isBlank ? State.ExtensionValueEnd : afterExtension(byte);
    case State.ExtensionValueEnd:
      if (isBlank) return state;
      return byte === SEMICOLON ? State.ExtensionStart : -1;
    default:
      return -1; // State.Done: a decoder that is done is not fed.
  }
}

function afterExtension(byte: number): number {
  if (byte === SEMICOLON) return State.ExtensionStart;
  return byte === CR ? State.SizeLf : -1;
}

function isFieldByte(byte: number): boolean {
  return byte === TAB || (byte >= SP && byte !== 0x7f);
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const folded = byte | 32;
  return folded >= 97 && folded <= 102 ? folded - 87 : -1;
}
