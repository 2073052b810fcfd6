/** Reads the header fields that a Response has itself. */
import { readWrittenNames, type WrittenNames } from "../../http/field-names.ts";
import type { Fields } from "../../http/head.ts";
import { fieldsOf, Memory } from "./tracked-response.ts";

/** The fields of a Response, and the facts about framing that they state. */
export interface OwnFields {
  fields: Fields;
  names: WrittenNames | undefined;
  /** Whether the response asks to close the connection. */
  close: boolean;
  /**
   * The length in bytes that the response promises for a stream. Undefined without a valid
   * Content-Length.
   */
  contentLength: number | undefined;
  /** The codings of the answer to a GET. Only the answer to a HEAD uses them. */
  transferEncoding: string | undefined;
}

export function readFields(response: Response): OwnFields {
  const fields = fieldsOf(response);
  const { connection, "content-length": length, "transfer-encoding": codings } = fields;
  return {
    fields,
    names: readWrittenNames(Memory.givenFields(response)),
    close: typeof connection === "string" && /(^|,)\s*close\s*(,|$)/i.test(connection),
    transferEncoding: codings as string | undefined,
    contentLength: typeof length === "string" && /^\d{1,15}$/.test(length) ? Number(length) : undefined,
  };
}
