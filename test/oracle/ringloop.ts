/**
 * ringloop's `RequestParser` and `ChunkedDecoder` as a `Reader`, driven as src/http/exchange.ts does: a head is parsed from its first
 * byte whenever more of it has arrived, wherever it is then; a body is taken as it comes.
 */
import { ChunkedDecoder } from "../../src/http/chunked.ts";
import { INCOMPLETE, RequestParser } from "../../src/http/parser.ts";
import type { Message, Reader } from "./reading.ts";

/** Small, so that heads beyond it are cheap to try. */
export const HEADER_BYTES_MAX = 2048;

/** Before a piece in its memory, so that positions are not offsets. */
const LEAD_BYTES = 3;
/** Behind a piece in its memory: what would complete a head if it were read. */
const BEHIND = "\r\n\r\n";

export const readWithRingloop: Reader = (stream, ends = [stream.length]) => {
  const messages: Message[] = [];
  const parser = new RequestParser({ headerBytesMax: HEADER_BYTES_MAX });
  let message: Message | undefined;
  let bodyBytesLeft = 0;
  let chunked: ChunkedDecoder | undefined;
  const sink = {
    onBody(memory: Buffer, start: number, end: number): void {
      message!.body += memory.latin1Slice(start, end);
    },
  };
  /** Position in the stream of the first byte that was not used. */
  let used = 0;
  for (const end of ends) {
    const memory = Buffer.from("#".repeat(LEAD_BYTES) + stream.slice(used, end) + BEHIND, "latin1");
    const base = used - LEAD_BYTES;
    const stop = end - base;
    let at = LEAD_BYTES;
    while (at < stop) {
      if (!message) {
        const bodyStart = parser.parse(memory, at, stop);
        if (bodyStart === INCOMPLETE) break;
        if (bodyStart < 0) return { messages, verdict: "refused", reason: String(-bodyStart) };
        const head = memory.latin1Slice(at, bodyStart);
        message = describeHead(parser, head);
        at = bodyStart;
        bodyBytesLeft = Math.max(0, parser.contentLength);
        chunked = parser.chunked ? new ChunkedDecoder(HEADER_BYTES_MAX) : undefined;
      }
      if (chunked) {
        at = chunked.feed(memory, at, stop, sink);
        if (at < 0) return { messages, verdict: "refused", reason: String(-at) };
        if (!chunked.done) continue;
      } else {
        const part = Math.min(bodyBytesLeft, stop - at);
        sink.onBody(memory, at, at + part);
        at += part;
        bodyBytesLeft -= part;
        if (bodyBytesLeft > 0) continue;
      }
      messages.push({ ...message, end: base + at });
      if (!message.keepAlive) return { messages, verdict: "accepted" };
      message = undefined;
    }
    used = base + at;
  }
  const isAtBoundary = !message && /^(\r\n)*\r?$/.test(stream.slice(used));
  return { messages, verdict: isAtBoundary ? "accepted" : "incomplete" };
};

function describeHead(parser: RequestParser, head: string): Message {
  const lines = head.slice(parser.headersStart, -4).split("\r\n");
  return {
    method: parser.method,
    target: head.slice(parser.targetStart, parser.targetEnd),
    version: `1.${parser.minorVersion}`,
    headers: head.length - parser.headersStart === 2 ? [] : lines.map(splitField),
    body: "",
    keepAlive: parser.keepAlive,
    end: 0,
  };
}

/** Every line of a head that was accepted has a colon. */
function splitField(line: string): [name: string, value: string] {
  const colon = line.indexOf(":");
  return [line.slice(0, colon), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "")];
}
