/**
 * The result of a parser for a stream of requests, in a form for any parser. Bytes are Latin-1
 * strings.
 */
export interface Message {
  method: string;
  target: string;
  /** For example "1.1". */
  version: string;
  /**
   * The fields in their order, without trailers. Names are as sent, values have no white space
   * around them.
   */
  headers: [name: string, value: string][];
  body: string;
  /**
   * Whether another request may follow. If not, the reading ends here, and later bytes are ignored.
   */
  keepAlive: boolean;
  /** Position in the stream after the message's last byte. */
  end: number;
}

export interface Reading {
  /** The complete messages, with their bodies. */
  messages: Message[];
  /**
   * The state after these messages. "accepted": nothing or only empty lines follow. "incomplete": a
   * part of a message follows. "refused": an error follows.
   */
  verdict: "accepted" | "incomplete" | "refused";
  /** The reason of a refusal, in the parser's own words. */
  reason?: string;
}

/**
 * Reads the stream in the pieces that end at `ends`. The ends are in ascending order, and the last
 * one is the length of the stream.
 */
export type Reader = (stream: string, ends?: readonly number[]) => Reading;

/** Returns the stream as a string literal in which every byte is visible. */
export function quote(stream: string): string {
  return JSON.stringify(stream).replace(/[\x7f-\xff]/g, (byte) => `\\u00${byte.charCodeAt(0).toString(16)}`);
}
