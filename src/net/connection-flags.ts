/**
 * Where a connection stands in its life, and the yes and no of its state, in one number: there are many connections, and each field of its
 * own would cost eight bytes in every one.
 */
import { WheelEntry } from "../reactor/wheel.ts";

/** A connection's life. Only `transition` writes `state`; the comment says what may be in flight. */
export const ConnectionState = {
  /** Receive, and one send. */
  Open: 0,
  /** Receive, and one send; `end()` was called: FIN follows the last queued byte. */
  Ending: 1,
  /** Receive; FIN is sent. */
  Ended: 2,
  /** Receive whose bytes are dropped, until the peer closes or the time is over. */
  Lingering: 3,
  /** Cancel and close are submitted; the last completions of a receive and a send may be missing. */
  Closing: 4,
  /** Nothing. */
  Closed: 5,
} as const;
export type ConnectionState = (typeof ConnectionState)[keyof typeof ConnectionState];

/**
 * Who wants a connection to receive nothing, one bit each. Receiving goes on when nobody does, so each releases its own hold alone and
 * cannot undo that of another.
 */
export const Hold = {
  /** The program, by `pause()`. */
  Program: 0x100000,
  /** A request body whose reader is behind. */
  Body: 0x200000,
  /** An HTTP exchange whose client does not read its answers. */
  Exchange: 0x400000,
  /** Bytes that were received and that nobody has taken. */
  Backlog: 0x800000,
} as const;
export type Hold = (typeof Hold)[keyof typeof Hold];

const HOLDS = Hold.Program | Hold.Body | Hold.Exchange | Hold.Backlog;

export abstract class ConnectionFlags extends WheelEntry {
  /** The state in the lowest four bits, and the flags above them. */
  private bits = 0;

  get state(): ConnectionState {
    return (this.bits & 0xf) as ConnectionState;
  }

  protected set state(value: ConnectionState) {
    this.bits = (this.bits & ~0xf) | value;
  }

  /** A multishot receive is in flight. */
  protected get receiveArmed(): boolean {
    return (this.bits & 0x10) !== 0;
  }

  protected set receiveArmed(value: boolean) {
    this.put(0x10, value);
  }

  /** The peer sends no more. */
  protected get receiveEnded(): boolean {
    return (this.bits & 0x20) !== 0;
  }

  protected set receiveEnded(value: boolean) {
    this.put(0x20, value);
  }

  /** Somebody holds the connection: it receives nothing. */
  protected get isHeld(): boolean {
    return (this.bits & HOLDS) !== 0;
  }

  protected isHeldBy(reason: Hold): boolean {
    return (this.bits & reason) !== 0;
  }

  protected putHold(reason: Hold, value: boolean): void {
    this.put(reason, value);
  }

  protected clearHolds(): void {
    this.put(HOLDS, false);
  }

  /** Of the receive, by `hold()`. */
  protected get cancelInFlight(): boolean {
    return (this.bits & 0x80) !== 0;
  }

  protected set cancelInFlight(value: boolean) {
    this.put(0x80, value);
  }

  protected get sendInFlight(): boolean {
    return (this.bits & 0x100) !== 0;
  }

  protected set sendInFlight(value: boolean) {
    this.put(0x100, value);
  }

  /** For `requestWritable()`. */
  protected get pollArmed(): boolean {
    return (this.bits & 0x200) !== 0;
  }

  protected set pollArmed(value: boolean) {
    this.put(0x200, value);
  }

  /** The kernel has taken a part of what is queued since `takeProgress()`. */
  protected get progressed(): boolean {
    return (this.bits & 0x400) !== 0;
  }

  protected set progressed(value: boolean) {
    this.put(0x400, value);
  }

  protected get flushScheduled(): boolean {
    return (this.bits & 0x800) !== 0;
  }

  protected set flushScheduled(value: boolean) {
    this.put(0x800, value);
  }

  /** By `requestDrain()`. */
  protected get notifyDrain(): boolean {
    return (this.bits & 0x1000) !== 0;
  }

  protected set notifyDrain(value: boolean) {
    this.put(0x1000, value);
  }

  protected get closeWhenDrained(): boolean {
    return (this.bits & 0x2000) !== 0;
  }

  protected set closeWhenDrained(value: boolean) {
    this.put(0x2000, value);
  }

  protected get lingerWhenDrained(): boolean {
    return (this.bits & 0x4000) !== 0;
  }

  protected set lingerWhenDrained(value: boolean) {
    this.put(0x4000, value);
  }

  /** The connection does not hold the process. */
  protected get unreferenced(): boolean {
    return (this.bits & 0x8000) !== 0;
  }

  protected set unreferenced(value: boolean) {
    this.put(0x8000, value);
  }

  /** Between `beginProcessing()` and `endProcessing()`. */
  protected get processing(): boolean {
    return (this.bits & 0x10000) !== 0;
  }

  protected set processing(value: boolean) {
    this.put(0x10000, value);
  }

  /** The protocol has been told that the peer sends no more. */
  protected get endTold(): boolean {
    return (this.bits & 0x20000) !== 0;
  }

  protected set endTold(value: boolean) {
    this.put(0x20000, value);
  }

  private put(bit: number, value: boolean): void {
    this.bits = value ? this.bits | bit : this.bits & ~bit;
  }
}
