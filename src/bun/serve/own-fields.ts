/** What a Response says in its own fields. */
import { readWrittenNames, type WrittenNames } from "../../http/field-names.ts";
import type { Fields } from "../../http/head.ts";
import { fieldsOf, Memory } from "./tracked-response.ts";

/** What a response's own fields say of its framing: whether it asks to close, and the length it promises for a stream. */
export interface OwnFields {
  fields: Fields;
  names: WrittenNames | undefined;
  close: boolean;
  contentLength: number | undefined;
  /** Only what a HEAD is answered with: the codings of the answer that a GET would have. */
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
