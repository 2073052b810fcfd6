/**
 * Who has subscribed to what, on one server.
 *
 * Guarantees: a message to a topic is encoded once, and compressed once for each size of window that subscribers have.
 */
import { deflate } from "../../websocket/deflate.ts";
import { encodeFrame } from "../../websocket/frame-writer.ts";
import { WINDOW_BYTES_MAX } from "../../websocket/window.ts";

/** Who can subscribe. */
export interface Subscriber {
  /** Gets a message that many get. Returns 1, -1 when it is queued behind others, or 0 when it was dropped. */
  take(broadcast: Broadcast): number;
}

export class Topics {
  private readonly subscribers = new Map<string, Set<Subscriber>>();

  add(topic: string, subscriber: Subscriber): void {
    const subscribers = this.subscribers.get(topic);
    if (subscribers) subscribers.add(subscriber);
    else this.subscribers.set(topic, new Set([subscriber]));
  }

  /** Returns whether it was subscribed. */
  delete(topic: string, subscriber: Subscriber): boolean {
    const subscribers = this.subscribers.get(topic);
    if (!subscribers?.delete(subscriber)) return false;
    if (subscribers.size === 0) this.subscribers.delete(topic);
    return true;
  }

  count(topic: string): number {
    return this.subscribers.get(topic)?.size ?? 0;
  }

  /**
   * Sends to all subscribers but `except`. Returns 0 if one of them was left out for its backpressure, or there is none; -1 if one of
   * them is behind; else the payload's bytes.
   */
  publish(topic: string, opcode: number, payload: Uint8Array, compress: boolean, except?: Subscriber): number {
    const subscribers = this.subscribers.get(topic);
    if (subscribers === undefined) return 0;
    const broadcast = new Broadcast(opcode, payload, compress);
    let count = 0;
    let dropped = false;
    let behind = false;
    for (const subscriber of subscribers) {
      if (subscriber === except) continue;
      count++;
      const sent = subscriber.take(broadcast);
      if (sent < 0) behind = true;
      else if (sent === 0) dropped = true;
    }
    if (count === 0 || dropped) return 0;
    return behind ? -1 : payload.length;
  }
}

/** One message on its way to many. */
export class Broadcast {
  readonly payload: Uint8Array;
  private readonly opcode: number;
  private readonly compress: boolean;
  /** Encoded, by the window's bits; 0 is uncompressed. */
  private readonly frames: (Buffer | undefined)[] = [];
  private tail: Uint8Array | undefined;

  constructor(opcode: number, payload: Uint8Array, compress: boolean) {
    this.opcode = opcode;
    this.payload = payload;
    this.compress = compress && payload.length > 0;
  }

  /** The part of the payload that is a client's context afterwards, in memory that nobody changes. */
  readonly context = (): Uint8Array => (this.tail ??= new Uint8Array(this.payload.subarray(-WINDOW_BYTES_MAX)));

  /** Whether a client with whom compression was agreed on gets it compressed. */
  get isCompressed(): boolean {
    return this.compress;
  }

  /** `windowBits`: the client's window; 0 for no compression. */
  frame(windowBits: number): Buffer {
    const { opcode, payload } = this;
    return (this.frames[windowBits] ??=
      windowBits === 0 ? encodeFrame(opcode, payload, false) : encodeFrame(opcode, deflate(payload, windowBits), true));
  }
}
