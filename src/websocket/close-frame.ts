/** Close frames: codes and reasons (RFC 6455 sections 5.5.1 and 7.4). */
import { outOfRange } from "../sys/check.ts";
import { CloseCode } from "./frame-parser.ts";

const REASON_BYTES_MAX = 123;
const NO_REASON = Buffer.alloc(0);

/**
 * Codes that a Close frame never carries (section 7.4.1), and 0. `closePayload` accepts them, so
 * that a program can pass on the code that its `close` handler got.
 */
const unsent = new Set([0, CloseCode.NoStatus, CloseCode.Abnormal, 1015]);

/**
 * Whether a Close frame may carry the code: from 1000 to 1014 without the reserved ones (section
 * 7.4.1 and the registry), or from 3000 to 4999 for libraries and programs (section 7.4.2).
 */
export function mayBeReceived(code: number): boolean {
  return (code >= 1000 && code <= 1014 && code !== 1004 && !unsent.has(code)) || (code >= 3000 && code <= 4999);
}

/**
 * Returns the payload of a Close frame. It is empty for the codes 0, 1005, 1006 and 1015. A reason
 * of more than 123 bytes is cut. Throws a RangeError for a code that must not be sent.
 */
export function closePayload(code: number, reason: string): Buffer {
  if (unsent.has(code)) return NO_REASON;
  if (!Number.isInteger(code) || !mayBeReceived(code))
    throw outOfRange(
      "code",
      "from 1000 to 1014 but not 1004, or from 3000 to 4999, or one of 0, 1005, 1006, 1015 for none",
      code,
    );
  const bytes = Buffer.from(reason);
  let length = Math.min(bytes.length, REASON_BYTES_MAX);
  // The cut must not lie in the middle of a character.
  while (length < bytes.length && length > 0 && (bytes[length]! & 0xc0) === 0x80) length--;
  const payload = Buffer.allocUnsafe(2 + length);
  payload.writeUInt16BE(code);
  bytes.copy(payload, 2, 0, length);
  return payload;
}

/** Returns the reason in the payload of a Close frame. */
export function readReason(payload: Buffer): string {
  return payload.utf8Slice(Math.min(2, payload.length), payload.length);
}
