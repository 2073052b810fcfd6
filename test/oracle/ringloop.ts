/**
 * ringloop's `RequestParser` and `ChunkedDecoder` as a `Reader`, used as in src/http/exchange.ts. A
 * head is parsed from its first byte each time when more of it has arrived, wherever it lies then.
 * A body is decoded as it arrives.
 */
import { ChunkedDecoder } from "../../src/http/chunked.ts";
import { INCOMPLETE, RequestParser } from "../../src/http/parser.ts";
import type { Message, Reader } from "./reading.ts";

/** Largest length of a head. It is small, so that tests of longer heads are cheap. */
export const HEADER_BYTES_MAX = 2048;

/** Bytes before a piece in its memory, so that a position in the stream is not an offset. */
const LEAD_BYTES = 3;
/** Text after a piece in its memory. It would end a head if the parser read it. */
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
  /** Position in the stream of the first unused byte. */
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

/** Splits a line of an accepted head. Every such line has a colon. */
function splitField(line: string): [name: string, value: string] {
  const colon = line.indexOf(":");
  return [line.slice(0, colon), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "")];
}
