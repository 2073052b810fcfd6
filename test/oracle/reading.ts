/** What a parser makes of a stream of requests, in terms that any two parsers share. Bytes are Latin-1 strings. */
export interface Message {
  method: string;
  target: string;
  /** Such as "1.1". */
  version: string;
  /** In their order; names as they were sent, values without white space around them. Trailers are not among them. */
  headers: [name: string, value: string][];
  body: string;
  /** Whether another request may follow. When not, the reading ends here, whatever else was sent. */
  keepAlive: boolean;
  /** Position in the stream after the message's last byte. */
  end: number;
}

export interface Reading {
  /** Those that are complete, body included. */
  messages: Message[];
  /** Of what follows them: nothing, or empty lines alone (accepted); part of a message (incomplete); an error (refused). */
  verdict: "accepted" | "incomplete" | "refused";
  /** Why it was refused, in the parser's own words. */
  reason?: string;
}

/** Reads the stream in the pieces that end at `ends`, in ascending order, the last of which is the stream's length. */
export type Reader = (stream: string, ends?: readonly number[]) => Reading;

/** As a string literal in which every byte can be seen. */
export function quote(stream: string): string {
  return JSON.stringify(stream).replace(/[\x7f-\xff]/g, (byte) => `\\u00${byte.charCodeAt(0).toString(16)}`);
}
