/**
 * permessage-deflate (RFC 7692), by the zlib that comes with Bun, and for small messages by inflate.ts.
 *
 * Guarantees: a message inflates to no more than the limit, whatever its size promises; what is agreed on is what the client offered.
 * A context that lives over several messages is the last 32 KiB (or the window agreed on) of their plain text, given to zlib as a
 * dictionary: in raw deflate a dictionary is the window before the first byte, so that is all the state there is between two messages
 * (section 7.2.3.2). No compressor or decompressor lives in between, which costs memory for the window alone and works in one call. A
 * message costs what its bytes cost, and not the window's: of that, a small one is compressed with the last part only.
 */
import { invalidOption, invalidType } from "../sys/check.ts";
import { lazily } from "../sys/lazily.ts";
import { type Offer, readOffers } from "./extensions.ts";
import { inflated, inflateSmall, SMALL_BYTES_MAX, UNUSUAL } from "./inflate.ts";
import { SentWindow, Window } from "./window.ts";

/** Loaded with the first message that is compressed: it takes 4 MiB. */
const zlib = lazily(() => require("node:zlib") as typeof import("node:zlib"));

/** perMessageDeflate, as checked. */
export interface DeflateOptions {
  /** Whether messages are ever compressed. */
  readonly compresses: boolean;
  /** Whether the contexts live over several messages. */
  readonly keepsSent: boolean;
  readonly keepsReceived: boolean;
  /** Base-2 logarithms of the windows, from 9 to 15. */
  readonly sentBits: number;
  readonly receivedBits: number;
}

const WINDOW_BITS_MAX = 15;
/** zlib cannot deflate raw with a window of 256 bytes. */
const SENT_BITS_MIN = 9;

/** What each form of `compress` and `decompress` means, as in Bun: the windows of the two sides. */
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

/** Throws a TypeError that names the wrong option. */
export function readDeflate(option: unknown): DeflateOptions | undefined {
  if (option === undefined || option === null || option === false) return undefined;
  if (option !== true && typeof option !== "object")
    throw invalidType("websocket.perMessageDeflate", "true, false or an object", option);
  const { compress, decompress } = option === true ? { compress: true, decompress: true } : (option as any);
  const received = readForm("decompress", decompress, "disable");
  // Where one direction is compressed, the other is by default.
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

/** What was agreed on with a client. */
export interface Agreement {
  /** The response's Sec-WebSocket-Extensions. */
  readonly answer: string;
  readonly keepsSent: boolean;
  readonly keepsReceived: boolean;
  readonly sentBits: number;
  readonly receivedBits: number;
}

/** The first offer that can be accepted (section 5). An offer that is malformed or has a parameter that is not known is declined. */
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
  // A client that cannot be told a smaller window gives up its context instead.
  else if (options.receivedBits < WINDOW_BITS_MAX) keepsReceived = false;
  let answer = "permessage-deflate";
  if (!keepsReceived) answer += "; client_no_context_takeover";
  else if (receivedBits < WINDOW_BITS_MAX) answer += `; client_max_window_bits=${receivedBits}`;
  if (!keepsSent) answer += "; server_no_context_takeover";
  // An offer that names the window is accepted by naming it, too, whatever its size (section 7.1.2.1).
  if (sentBits < WINDOW_BITS_MAX || given.has("server_max_window_bits"))
    answer += `; server_max_window_bits=${sentBits}`;
  return { answer, keepsSent, keepsReceived, sentBits, receivedBits };
}

/** Decimal numbers from 8 to 15, without zeros before them (section 7.1.2). */
const allowedBits = new Set(["8", "9", "10", "11", "12", "13", "14", "15"]);

/** Section 7.1. */
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

/** What every message ends with once it is flushed, and what is not sent (section 7.2.1). */
const TAIL = Buffer.of(0, 0, 0xff, 0xff);
const NOTHING: Buffer = Buffer.alloc(0);

/** Compresses without a context, for any number of clients whose window is at least as large. */
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

/** zlib hashes the whole dictionary before it begins: 40 us for 32 KiB. So much of it pays for a message of this length. */
const usefulContext = (bytes: number): number => Math.max(2048, 16 * bytes);

/** One connection's compression. */
export class SocketDeflate {
  readonly sentBits: number;
  /** Whether what was decompressed last is in memory of its own; else it is to be copied before the next message is. */
  isOwn = false;
  /** Null where the context does not live on. */
  private readonly sent: SentWindow | null;
  private readonly received: Window | null;

  constructor({ keepsSent, keepsReceived, sentBits }: Agreement) {
    this.sent = keepsSent ? new SentWindow(sentBits) : null;
    this.received = keepsReceived ? new Window(WINDOW_BITS_MAX) : null;
    this.sentBits = sentBits;
  }

  compress(bytes: Uint8Array): Buffer {
    const { sent, sentBits } = this;
    const compressed = deflate(bytes, sentBits, sent?.latest(usefulContext(bytes.length)));
    sent?.append(bytes);
    return compressed;
  }

  /** What was compressed without the context, for many, is part of it all the same. `shared` makes bytes that nobody changes. */
  noteShared(shared: () => Uint8Array): void {
    this.sent?.share(shared());
  }

  /** Throws a RangeError for more than `bytesMax`, and another error for what is not compressed data. */
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
