/**
 * permessage-deflate (RFC 7692), with Bun's zlib. inflate.ts decompresses small messages.
 *
 * Guarantees: a decompressed message is no longer than the limit, whatever its compressed size. The
 * agreed parameters are among those that the client offered.
 *
 * A context that spans several messages is the end of their plain text: the last 32 KiB, or the
 * agreed window. zlib gets it as a dictionary. In raw deflate a dictionary is the window before the
 * first byte, so there is no other state between two messages (section 7.2.3.2).
 *
 * Therefore no compressor or decompressor lives between two messages. The memory is the window
 * alone, and a message takes one call. The cost of a message depends on its own length, not on the
 * size of the window: a small message is compressed with only the last part of the window.
 */
import { invalidOption, invalidType } from "../sys/check.ts";
import { lazily } from "../sys/lazily.ts";
import { type Offer, readOffers } from "./extensions.ts";
import { inflated, inflateSmall, SMALL_BYTES_MAX, UNUSUAL } from "./inflate.ts";
import { SentWindow, Window } from "./window.ts";

/** zlib, which takes 4 MiB. The first compressed message loads it. */
const zlib = lazily(() => require("node:zlib") as typeof import("node:zlib"));

/** The option perMessageDeflate after the checks. */
export interface DeflateOptions {
  /** Whether the server compresses messages. */
  readonly compresses: boolean;
  /** Whether the context of sent messages spans several of them. */
  readonly keepsSent: boolean;
  /** Whether the context of received messages spans several of them. */
  readonly keepsReceived: boolean;
  /** Base-2 logarithm of the window for sent messages, from 9 to 15. */
  readonly sentBits: number;
  /** Base-2 logarithm of the window for received messages, from 11 to 15. */
  readonly receivedBits: number;
}

const WINDOW_BITS_MAX = 15;
/** Smallest window: zlib cannot make raw deflate data with a window of 256 bytes (8 bits). */
const SENT_BITS_MIN = 9;

/** The windows of each named value of `compress` (sent) and `decompress` (received), as in Bun. */
const compressors: Record<string, { sent: number; received: number }> = {
  "3KB": { sent: 9, received: 11 },
  "4KB": { sent: 9, received: 12 },
  "8KB": { sent: 10, received: 13 },
  "16KB": { sent: 11, received: 14 },
  "32KB": { sent: 12, received: 15 },
  "64KB": { sent: 13, received: 15 },
  "128KB": { sent: 14, received: 15 },
  "256KB": { sent: 15, received: 15 },
  dedicated: { sent: 15, received: 15 },
};

/**
 * Checks the option perMessageDeflate. Returns undefined where it is off. Throws a TypeError that
 * names the wrong option.
 */
export function readDeflate(option: unknown): DeflateOptions | undefined {
  if (option === undefined || option === null || option === false) return undefined;
  if (option !== true && typeof option !== "object")
    throw invalidType("websocket.perMessageDeflate", "true, false or an object", option);
  const { compress, decompress } = option === true ? { compress: true, decompress: true } : (option as any);
  const received = readForm("decompress", decompress, "disable");
  // If `decompress` is on, `compress` is on by default.
  const sent = readForm("compress", compress, received === "disable" ? "disable" : "shared");
  if (sent === "disable" && received === "disable") return undefined;
  return {
    compresses: sent !== "disable",
    keepsSent: sent in compressors,
    keepsReceived: received in compressors,
    sentBits: compressors[sent]?.sent ?? WINDOW_BITS_MAX,
    receivedBits: compressors[received]?.received ?? WINDOW_BITS_MAX,
  };
}

function readForm(name: string, value: unknown, byDefault: string): string {
  if (value === undefined || value === null) return byDefault;
  if (value === false || value === "disable") return "disable";
  if (value === true || value === "shared") return "shared";
  if (typeof value === "string" && Object.hasOwn(compressors, value)) return value;
  const forms = ["disable", "shared", ...Object.keys(compressors)].join(", ");
  throw invalidOption(`websocket.perMessageDeflate.${name}`, "string", `true, false or one of ${forms}`, value);
}

/** The agreed parameters: the fields of DeflateOptions, restricted by the offer of the client. */
export interface Agreement {
  /** The Sec-WebSocket-Extensions field of the response. */
  readonly answer: string;
  readonly keepsSent: boolean;
  readonly keepsReceived: boolean;
  readonly sentBits: number;
  readonly receivedBits: number;
}

/**
 * Accepts the first offer that the options allow (section 5). Declines an offer that is malformed
 * or has an unknown parameter.
 */
export function agree(options: DeflateOptions, offers: string): Agreement | undefined {
  for (const offer of readOffers(offers)) {
    const agreement = accept(options, offer);
    if (agreement) return agreement;
  }
  return undefined;
}

function accept(options: DeflateOptions, { name, parameters: given }: Offer): Agreement | undefined {
  if (name.toLowerCase() !== "permessage-deflate") return undefined;
  for (const [parameter, value] of given) if (!isParameter(parameter, value)) return undefined;
  const keepsSent = options.keepsSent && !given.has("server_no_context_takeover");
  let keepsReceived = options.keepsReceived && !given.has("client_no_context_takeover");
  const sentBits = Math.min(options.sentBits, Number(given.get("server_max_window_bits") ?? WINDOW_BITS_MAX));
  if (sentBits < SENT_BITS_MIN) return undefined;
  let receivedBits = WINDOW_BITS_MAX;
  if (given.has("client_max_window_bits"))
    receivedBits = Math.min(options.receivedBits, Number(given.get("client_max_window_bits") ?? WINDOW_BITS_MAX));
  // This client does not accept a smaller window, so it must not keep its context.
  else if (options.receivedBits < WINDOW_BITS_MAX) keepsReceived = false;
  let answer = "permessage-deflate";
  if (!keepsReceived) answer += "; client_no_context_takeover";
  else if (receivedBits < WINDOW_BITS_MAX) answer += `; client_max_window_bits=${receivedBits}`;
  if (!keepsSent) answer += "; server_no_context_takeover";
  // If the offer names the server's window, the answer must name it too (section 7.1.2.1).
  if (sentBits < WINDOW_BITS_MAX || given.has("server_max_window_bits"))
    answer += `; server_max_window_bits=${sentBits}`;
  return { answer, keepsSent, keepsReceived, sentBits, receivedBits };
}

/** Decimal numbers from 8 to 15, without leading zeros (section 7.1.2). */
const allowedBits = new Set(["8", "9", "10", "11", "12", "13", "14", "15"]);

/** Whether the parameter is known and its value is allowed (section 7.1). */
function isParameter(name: string, value: string | undefined): boolean {
  switch (name) {
    case "server_no_context_takeover":
    case "client_no_context_takeover":
      return value === undefined;
    case "server_max_window_bits":
      return value !== undefined && allowedBits.has(value);
    case "client_max_window_bits":
      return value === undefined || allowedBits.has(value);
    default:
      return false;
  }
}

/** The end of every flushed message. It is not sent (section 7.2.1). */
const TAIL = Buffer.of(0, 0, 0xff, 0xff);
const NOTHING: Buffer = Buffer.alloc(0);

/**
 * Compresses a message. Without a context the result suits every client whose window is at least
 * as large.
 */
export function deflate(bytes: Uint8Array, windowBits: number, context: Buffer = NOTHING): Buffer {
  const { constants, deflateRawSync } = zlib();
  const options = {
    windowBits,
    finishFlush: constants.Z_SYNC_FLUSH,
    ...(context.length > 0 && { dictionary: context }),
  };
  const whole = deflateRawSync(bytes, options);
  return whole.subarray(0, whole.length - TAIL.length);
}

/**
 * Returns how many bytes of context pay for a message of this length. zlib hashes the whole
 * dictionary before it starts, which takes 40 us for 32 KiB.
 */
const usefulContext = (bytes: number): number => Math.max(2048, 16 * bytes);

/** The compression of one connection. */
export class SocketDeflate {
  /** Base-2 logarithm of the window for sent messages. */
  readonly sentBits: number;
  /**
   * Whether the last decompressed message has memory of its own. If not, the caller must copy it
   * before the next message is decompressed.
   */
  isOwn = false;
  /** The context of sent messages. Null if each message has a context of its own. */
  private readonly sent: SentWindow | null;
  /** The context of received messages. Null if each message has a context of its own. */
  private readonly received: Window | null;

  constructor({ keepsSent, keepsReceived, sentBits }: Agreement) {
    this.sent = keepsSent ? new SentWindow(sentBits) : null;
    this.received = keepsReceived ? new Window(WINDOW_BITS_MAX) : null;
    this.sentBits = sentBits;
  }

  /** Compresses a message with the context, and adds the message to the context. */
  compress(bytes: Uint8Array): Buffer {
    const { sent, sentBits } = this;
    const compressed = deflate(bytes, sentBits, sent?.latest(usefulContext(bytes.length)));
    sent?.append(bytes);
    return compressed;
  }

  /**
   * Adds to the context a message that was compressed once, without context, for many clients.
   * `shared` returns its plain text in bytes that nobody changes.
   */
  noteShared(shared: () => Uint8Array): void {
    this.sent?.share(shared());
  }

  /**
   * Decompresses a message. Throws a RangeError for more than `bytesMax` bytes, and another error
   * for bytes that are not valid compressed data.
   */
  decompress(bytes: Uint8Array, bytesMax: number): Buffer {
    const plain = this.inflate(bytes, bytesMax);
    if (plain.length > bytesMax) throw new RangeError(`more than ${bytesMax} bytes`);
    this.received?.append(plain);
    return plain;
  }

  private inflate(bytes: Uint8Array, bytesMax: number): Buffer {
    const { received } = this;
    if (bytes.length <= SMALL_BYTES_MAX) {
      const length = inflateSmall(bytes, received, bytesMax);
      if (length !== UNUSUAL) {
        this.isOwn = false;
        return inflated.subarray(0, length);
      }
    }
    this.isOwn = true;
    const { constants, inflateRawSync } = zlib();
    return inflateRawSync(Buffer.concat([bytes, TAIL]), {
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: Math.max(bytesMax, 1),
      ...(received !== null && received.length > 0 && { dictionary: received.latest(received.length) }),
    });
  }
}
