/**
 * The chunked transfer coding (RFC 9112 section 7.1), as it arrives.
 *
 * Guarantees: stops exactly after the message's last byte; extensions and trailers are read, checked and dropped; sizes that
 * cannot be represented, bare CR or LF, and lines without end are refused.
 */
const CR = 13;
const LF = 10;
const SP = 32;
const TAB = 9;
const SEMICOLON = 59;

const State = {
  /** In the hexadecimal digits of a chunk's size. */
  Size: 0,
  /** In an extension after them. */
  Extension: 1,
  SizeLf: 2,
  Data: 3,
  DataCr: 4,
  DataLf: 5,
  /** At the start of a trailer line, or of the empty line that ends the message. */
  Trailer: 6,
  TrailerLine: 7,
  TrailerLf: 8,
  EndLf: 9,
  Done: 10,
} as const;

/** Digits of a size: 2^52 bytes are enough for anybody, and stay an exact number. */
const SIZE_DIGITS_MAX = 13;
/** Bytes of extensions in one message: they carry nothing that is used, and must not be a way to keep a server busy. */
const EXTENSION_BYTES_MAX = 16384;

export interface ChunkSink {
  onBody(bytes: Buffer, start: number, end: number): void;
}

export class ChunkedDecoder {
  private readonly trailerBytesMax: number;
  private state: number = State.Size;
  private size = 0;
  private digits = 0;
  private extensionBytes = 0;
  private trailerBytes = 0;
  private trailerColon = false;

  constructor(trailerBytesMax: number) {
    this.trailerBytesMax = trailerBytesMax;
  }

  get done(): boolean {
    return this.state === State.Done;
  }

  /** Decodes from `start`. Returns the position after the last byte used (`end` unless done), or a negated status (400, 431). */
  feed(bytes: Buffer, start: number, end: number, sink: ChunkSink): number {
    let at = start;
    while (at < end && this.state !== State.Done) {
      if (this.state === State.Data) {
        const part = Math.min(this.size, end - at);
        sink.onBody(bytes, at, at + part);
        at += part;
        this.size -= part;
        if (this.size === 0) this.state = State.DataCr;
        continue;
      }
      const refused = this.step(bytes[at++]!);
      if (refused !== 0) return refused;
    }
    return at;
  }

  /** One byte of framing. Returns 0 or a negated status. */
  private step(byte: number): number {
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
        else if (byte === SEMICOLON) this.state = State.Extension;
        else return -400;
        return 0;
      }
      case State.Extension:
        if (byte === CR) this.state = State.SizeLf;
        else if (!isFieldByte(byte)) return -400;
        else if (++this.extensionBytes > EXTENSION_BYTES_MAX) return -400;
        return 0;
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
        if (byte === SP || byte === TAB || byte === 58) return -400;
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
      default:
        return -400;
    }
  }

  private countTrailer(byte: number): number {
    if (byte === 58) this.trailerColon = true;
    else if (!isFieldByte(byte) || (!this.trailerColon && (byte === SP || byte === TAB))) return -400;
    return ++this.trailerBytes > this.trailerBytesMax ? -431 : 0;
  }
}

function isFieldByte(byte: number): boolean {
  return byte === TAB || (byte >= SP && byte !== 0x7f);
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const folded = byte | 32;
  return folded >= 97 && folded <= 102 ? folded - 87 : -1;
}
