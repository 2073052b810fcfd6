/**
 * Decodes a request's body in chunks, with the profile of Node. Keeps the trailers, refuses the
 * same bodies as Bun's own decoder, and names the reason by Node's codes.
 */
import { ChunkedDecoder, EXTENSION_BYTES_MAX, State } from "../http/chunked.ts";
import { Fault } from "./faults.ts";
import type { NodeParserLimits } from "./request-parser.ts";

const CR = 13;
const LF = 10;
const SP = 32;
const TAB = 9;

export class RequestChunks extends ChunkedDecoder {
  /** The trailer lines so far, each with its CRLF. */
  trailerLines = "";
  /** The reason if `feed` has refused the body. */
  fault: Fault = Fault.ChunkSize;

  private readonly limits: NodeParserLimits;

  constructor(limits: NodeParserLimits) {
    super(limits.headerBytesMax);
    this.limits = limits;
  }

  protected override step(byte: number): number {
    const { state } = this;
    const inTrailers = state >= State.Trailer && state <= State.TrailerLf;
    if (inTrailers && !(state === State.Trailer && byte === CR)) this.trailerLines += String.fromCharCode(byte);
    if (state >= State.ExtensionStart) {
      // White space outside of quotes is refused. An empty extension at the end is accepted.
      const isQuoted = state === State.ExtensionQuoted || state === State.ExtensionQuotedPair;
      if (!isQuoted && (byte === SP || byte === TAB)) return this.refuse(Fault.ChunkSize);
      if (state === State.ExtensionStart && byte === CR) {
        this.state = State.SizeLf;
        return 0;
      }
    }
    const { takesControls, takesCodings } = this.limits;
    const isControl = (byte < SP && byte !== 0 && byte !== CR && byte !== LF) || byte === 0x7f;
    const refused = super.step(takesControls && isControl && state === State.TrailerLine ? SP : byte);
    if (refused === 0) return state === State.TrailerLf && !takesCodings ? this.checkTrailer() : 0;
    if (state === State.TrailerLine && byte === LF) return this.refuse(Fault.ChunkSize);
    return this.refuse(this.extensionBytes > EXTENSION_BYTES_MAX ? Fault.ChunkExtensions : faultIn(state, refused));
  }

  /**
   * Checks the last trailer line. A trailer must not say how the message is framed (RFC 9110
   * section 6.5.1).
   */
  private checkTrailer(): number {
    const last = this.trailerLines.lastIndexOf("\r\n", this.trailerLines.length - 3) + 2;
    const line = this.trailerLines.slice(last < 2 ? 0 : last);
    const name = line.slice(0, line.indexOf(":")).toLowerCase();
    if (name === "content-length") return this.refuse(Fault.TrailerContentLength);
    return name === "transfer-encoding" ? this.refuse(Fault.TransferEncoding) : 0;
  }

  private refuse(fault: Fault): number {
    this.fault = fault;
    return -400;
  }
}

function faultIn(state: number, refused: number): Fault {
  if (refused === -431) return Fault.Overflow;
  switch (state) {
    case State.DataCr:
    case State.DataLf:
      return Fault.ChunkEnd;
    case State.Trailer:
    case State.TrailerLine:
      return Fault.HeaderToken;
    default:
      return Fault.ChunkSize;
  }
}
