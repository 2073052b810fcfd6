/**
 * The topics of one server, and their subscribers.
 *
 * Guarantees: a message to a topic is encoded once. It is compressed once for each window size of
 * the subscribers.
 */
import { deflate } from "../../websocket/deflate.ts";
import { encodeFrame } from "../../websocket/frame-writer.ts";
import { WINDOW_BYTES_MAX } from "../../websocket/window.ts";

/** A socket, as far as topics need it. */
export interface Subscriber {
  /**
   * Queues a message that is shared. Returns 1, -1 if the subscriber is behind, or 0 if the message
   * was dropped.
   */
  take(broadcast: Broadcast): number;
}

export class Topics {
  private readonly subscribers = new Map<string, Set<Subscriber>>();

  add(topic: string, subscriber: Subscriber): void {
    const subscribers = this.subscribers.get(topic);
    if (subscribers) subscribers.add(subscriber);
    else this.subscribers.set(topic, new Set([subscriber]));
  }

  /** Returns whether the subscriber had subscribed to the topic. */
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
   * Sends a message to all subscribers except `except`. Returns 0 if there is no subscriber, or if
   * one of them dropped the message. Returns -1 if one of them is behind, else the payload's bytes.
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

/** One message for many subscribers. */
export class Broadcast {
  readonly payload: Uint8Array;
  private readonly opcode: number;
  private readonly compress: boolean;
  /** Encoded frames, by the bits of the window; 0 is the uncompressed frame. */
  private readonly frames: (Buffer | undefined)[] = [];
  private tail: Uint8Array | undefined;

  constructor(opcode: number, payload: Uint8Array, compress: boolean) {
    this.opcode = opcode;
    this.payload = payload;
    this.compress = compress && payload.length > 0;
  }

  /**
   * Returns the end of the payload, which becomes a client's context, in memory that never changes.
   */
  readonly context = (): Uint8Array => (this.tail ??= new Uint8Array(this.payload.subarray(-WINDOW_BYTES_MAX)));

  /** Whether clients with whom compression was agreed on get the message compressed. */
  get isCompressed(): boolean {
    return this.compress;
  }

  /** Returns the frame for a window of so many bits; 0 for no compression. */
  frame(windowBits: number): Buffer {
    const { opcode, payload } = this;
    return (this.frames[windowBits] ??=
      windowBits === 0 ? encodeFrame(opcode, payload, false) : encodeFrame(opcode, deflate(payload, windowBits), true));
  }
}
