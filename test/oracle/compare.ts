/**
 * Compares the readings of a stream by ringloop and llhttp. They agree, differ in a listed way, or
 * differ in a way that is an error.
 */
import { keptAliveByOne, refusedByLlhttp, refusedByRingloop, withoutBody } from "./differences.ts";
import { readWithLlhttp } from "./llhttp.ts";
import { type Message, quote, type Reader, type Reading } from "./reading.ts";
import { readWithRingloop } from "./ringloop.ts";

export interface Comparison {
  ours: Reading;
  /**
   * The listed difference that was found. There is at most one, because after it the two parsers
   * read different messages.
   */
  listed?: string;
  /** A difference that is not listed. */
  unlisted?: string;
}

/** Reads `stream`, in the pieces that end at `ends`, with both parsers. */
export function compare(stream: string, ends?: readonly number[], read: Reader = readWithRingloop): Comparison {
  const ours = read(stream, ends);
  const theirs = readWithLlhttp(stream, ends);
  const same = ours.messages.findIndex((message, i) => !Bun.deepEquals(message, theirs.messages[i]));
  const complete = same < 0 ? ours.messages.length : same;
  const start = complete === 0 ? 0 : ours.messages[complete - 1]!.end;
  const [our, their] = [ours.messages[complete], theirs.messages[complete]];
  if (their && withoutBody.explains(stream.slice(start, their.end))) return { ours, listed: withoutBody.name };
  if (our && their) return { ours, ...compareMessages(our, their, stream.slice(start, our.end)) };
  if (!our && !their && ours.verdict === theirs.verdict) return { ours };

  const unlisted = `${summarize(ours)}; llhttp: ${summarize(theirs)}`;
  const weRefuse = !our && ours.verdict === "refused";
  const theyRefuse = !their && theirs.verdict === "refused";
  if (weRefuse === theyRefuse) return { ours, unlisted };
  const isLate = weRefuse ? refusesLater(readWithLlhttp, theirs, stream) : refusesLater(read, ours, stream);
  if (!our && !their && isLate) return { ours };
  const [refusing, { reason: given }] = weRefuse ? [read, ours] : [readWithLlhttp, theirs];
  const refused = firstRefused(refusing, stream, start, complete);
  const entry = (weRefuse ? refusedByRingloop : refusedByLlhttp).find(
    ({ reason, explains }) => given!.startsWith(reason) && explains(refused),
  );
  if (entry) return { ours, listed: entry.name };
  return { ours, unlisted: `${unlisted}; refused at the end of ${quote(refused)}` };
}

/** Compares two messages that are not equal. `raw` is ringloop's message as it was sent. */
function compareMessages(our: Message, their: Message, raw: string): Omit<Comparison, "ours"> {
  const entry = keptAliveByOne.find(({ explains }) => explains(raw, our));
  if (entry && Bun.deepEquals({ ...our, keepAlive: their.keepAlive }, their)) return { listed: entry.name };
  return { unlisted: `${Bun.inspect(our)}; llhttp: ${Bun.inspect(their)}` };
}

/** Continuations of a cut head. With one of them, a head without a mistake is accepted. */
const continuations = ["\r\n", " HTTP/1.1\r\n", " / HTTP/1.1\r\n"].map((end) => `${end}Host: a\r\n\r\n`);

/**
 * Whether the reader refuses the stream later. A parser may wait for the end of a wrong line before
 * it refuses the line, so this is not a difference.
 */
function refusesLater(read: Reader, { verdict, messages }: Reading, stream: string): boolean {
  if (verdict !== "incomplete") return false;
  return continuations.every((continuation) => {
    const whole = read(stream + continuation);
    return whole.verdict === "refused" && whole.messages.length === messages.length;
  });
}

/**
 * Returns the shortest refused beginning of the message at `start`, which follows `complete` other
 * messages.
 */
function firstRefused(read: Reader, stream: string, start: number, complete: number): string {
  let low = start;
  let high = stream.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const { verdict, messages } = read(stream.slice(0, middle));
    if (verdict === "refused" && messages.length === complete) high = middle;
    else low = middle + 1;
  }
  return stream.slice(start, high);
}

function summarize({ messages, verdict, reason }: Reading): string {
  return `${messages.length} messages, ${verdict}${reason === undefined ? "" : ` (${reason})`}`;
}
