/**
 * A whole TCP server on a bare ring: accepts, receives into provided buffers, sends from them, and
 * ends in order. It runs beside Bun's loop, which gets a turn after each wait, for signals and
 * timers.
 *
 *   bun examples/ring-echo.ts --mode plain|defer|sqpoll --port 4000     then: nc 127.0.0.1 4000
 */
import { closeSync } from "node:fs";
import { parseArgs } from "node:util";
import {
  AF_INET,
  errnoName,
  IORING_SETUP_COOP_TASKRUN,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SQPOLL,
  MSG_NOSIGNAL,
  Ring,
  RingMemory,
  SHUT_RDWR,
  SOCK_CLOEXEC,
  SOCK_STREAM,
  type Sqe,
} from "../src/ring/index.ts";

const modes = {
  plain: IORING_SETUP_COOP_TASKRUN,
  defer: IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
  sqpoll: IORING_SETUP_SQPOLL,
};
const { values } = parseArgs({
  options: { mode: { type: "string", default: "defer" }, port: { type: "string", default: "4000" } },
});
const setup = modes[values.mode as keyof typeof modes];
if (setup === undefined) throw new Error(`--mode must be one of ${Object.keys(modes).join(", ")}, not ${values.mode}`);

const BUFFERS = 256;
const BUFFER_BYTES = 4096;
const GROUP = 0;
/**
 * Largest wait, in microseconds. A wait delays signals and timers of Bun's loop. A signal to this
 * thread ends the wait at once.
 */
const WAIT_US = 100_000;

/**
 * The kind of a completion, in the high half of its user data. The low half is the connection's
 * number.
 */
const Kind = { Accept: 0, Receive: 1, Send: 2, Close: 3, Other: 4 } as const;

interface Connection {
  fd: number;
  /**
   * Operations whose last completion has not come. While there are any, the descriptor and the
   * number stay in use.
   */
  inFlight: number;
  receives: boolean;
  /** Filled buffers to send. The first one is being sent. */
  queue: { bid: number; offset: number; bytes: number }[];
  ended: boolean;
}

const ring = Ring.queueInit(256, { flags: setup, cqEntries: 4096 });
const memory = new RingMemory(BUFFERS * BUFFER_BYTES + 4096);
const pool = memory.allocate(BUFFERS * BUFFER_BYTES, 4096);
const buffers = ring.setupBufRing(BUFFERS, GROUP);
for (let bid = 0; bid < BUFFERS; bid++) provide(bid, bid);
buffers.advance(BUFFERS);

const connections: Connection[] = [];
const freeNumbers: number[] = [];
/** Numbers of connections that could not receive because no buffer was free. */
let starved: number[] = [];
let inFlight = 0;
let ending = false;

function provide(bid: number, at: number): void {
  buffers.add(pool.address + bid * BUFFER_BYTES, BUFFER_BYTES, bid, at);
}

/** Returns an entry of the submission queue. If the queue is full, submits its entries first. */
function entry(): Sqe {
  for (;;) {
    const sqe = ring.getSqe();
    if (sqe !== null) return sqe;
    if (ring.sqpoll) ring.sqringWait();
    else ring.submit();
  }
}

/** Assigns a prepared entry to a connection and a kind. */
function own(sqe: Sqe, number: number, kind: number): void {
  inFlight++;
  if (number >= 0) connections[number]!.inFlight++;
  sqe.setUserData(number, kind);
}

// ---- the listening socket -----------------------------------------------------------------------

/** Runs one operation and waits for it, before any other operation is in flight. */
function once(prepare: (sqe: Sqe) => Sqe): number {
  prepare(entry());
  ring.submit();
  const { res } = ring.waitCqe()!;
  ring.cqeSeen();
  if (res < 0) throw new Error(errnoName(-res));
  return res;
}

const address = memory.sockaddr({ hostname: "127.0.0.1", port: Number(values.port) });
const listener = once((sqe) => sqe.prepSocket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC));
once((sqe) => sqe.prepBind(listener, address.address, address.bytes));
once((sqe) => sqe.prepListen(listener, 512));
own(entry().prepMultishotAccept(listener, SOCK_CLOEXEC), -1, Kind.Accept);

// ---- connections --------------------------------------------------------------------------------

function accepted(fd: number): void {
  const number = freeNumbers.pop() ?? connections.length;
  connections[number] = { fd, inFlight: 0, receives: false, queue: [], ended: false };
  receive(number);
}

function receive(number: number): void {
  const connection = connections[number]!;
  if (connection.receives || connection.ended) return;
  connection.receives = true;
  own(entry().prepRecvMultishot(connection.fd, GROUP), number, Kind.Receive);
}

function received(number: number, res: number, bid: number, more: boolean): void {
  const connection = connections[number]!;
  if (!more) connection.receives = false;
  if (res > 0) {
    connection.queue.push({ bid, offset: 0, bytes: res });
    if (connection.queue.length === 1) send(number);
    if (!more) receive(number); // A multishot operation may end at any completion.
  } else if (errnoName(-res) === "ENOBUFS") starved.push(number);
  else connection.ended = true; // 0: the peer has ended. An error: the peer is gone.
}

/**
 * Sends the first buffer. Only one send is in flight, because two sends of one socket could change
 * their order.
 */
function send(number: number): void {
  const { fd, queue } = connections[number]!;
  const { bid, offset, bytes } = queue[0]!;
  const from = pool.address + bid * BUFFER_BYTES + offset;
  own(entry().prepSend(fd, from, bytes - offset, MSG_NOSIGNAL), number, Kind.Send);
}

function sent(number: number, res: number): void {
  const connection = connections[number]!;
  const { queue } = connection;
  if (res < 0) connection.ended = true;
  const first = queue[0]!;
  first.offset += Math.max(0, res);
  if (res >= 0 && first.offset < first.bytes) return send(number); // A short send is continued.
  const done = res < 0 ? queue.splice(0) : [queue.shift()!];
  for (const [i, { bid }] of done.entries()) provide(bid, i);
  buffers.advance(done.length);
  for (const each of starved.splice(0)) receive(each);
  if (queue.length > 0) send(number);
}

/** Closes the descriptor when no operation of the connection is in flight. */
function settle(number: number): void {
  const connection = connections[number]!;
  if (!connection.ended || connection.inFlight > 0 || connection.fd < 0) return;
  for (const { bid } of connection.queue.splice(0)) {
    provide(bid, 0);
    buffers.advance(1);
  }
  own(entry().prepClose(connection.fd), number, Kind.Close);
  connection.fd = -1;
}

// ---- the turn -----------------------------------------------------------------------------------

function turn(): void {
  ring.submitAndWaitTimeout(1, WAIT_US);
  // Completions are copied before they are handled: a completion is read in place, and handling it
  // may submit.
  const batch = ring.peekBatchCqe(ring.cqReady).map(({ userDataLow, userDataHigh, res, flags, bufferId, more }) => ({
    number: userDataLow | 0,
    kind: userDataHigh,
    res,
    flags,
    bufferId,
    more,
  }));
  ring.cqAdvance(batch.length);
  for (const { number, kind, res, bufferId, more } of batch) {
    if (!more) inFlight--;
    const connection = number < 0 ? undefined : connections[number]!;
    if (connection !== undefined && !more) connection.inFlight--;
    if (kind === Kind.Accept) {
      if (res >= 0 && !ending) accepted(res);
      else if (res >= 0) closeSync(res);
      if (!more && !ending) own(entry().prepMultishotAccept(listener, SOCK_CLOEXEC), -1, Kind.Accept);
    } else if (kind === Kind.Receive) received(number, res, bufferId, more);
    else if (kind === Kind.Send) sent(number, res);
    else if (kind === Kind.Close) freeNumbers.push(number);
    if (connection !== undefined && kind !== Kind.Close) settle(number);
  }
  if (ending && inFlight === 0) return exit();
  setImmediate(turn);
}

/** Stops accepting. Connected clients get the bytes that were received, and then the end. */
function end(): void {
  if (ending) return;
  ending = true;
  own(entry().prepCancel(-1, Kind.Accept), -1, Kind.Other);
  for (const [number, { fd }] of connections.entries())
    if (fd >= 0) own(entry().prepShutdown(fd, SHUT_RDWR), number, Kind.Other);
}

/** Frees everything. Nothing is in flight, so the kernel does not use the memory any more. */
function exit(): void {
  closeSync(listener);
  buffers.free();
  ring.queueExit();
  memory.release();
  console.log("ended");
  process.off("SIGINT", end).off("SIGTERM", end);
}

process.on("SIGINT", end).on("SIGTERM", end);
console.log(`${values.mode} ring, listening on 127.0.0.1:${values.port}`);
setImmediate(turn);
