/**
 * Writes to sockets with handlers and to stream sockets, and datagrams, from memory that changes.
 */
import { udpSocket } from "../behaviour/subject.ts";
import { type Step, turns } from "./campaign.ts";
import type { Area, MemoryOperation } from "./memory-operation.ts";
import { check, type UserMemory } from "./user-memory.ts";
import type { UdpSocket } from "../../src/index.ts";
import { MARK, type Wires } from "./wires.ts";

const HOST = "127.0.0.1";
const DATAGRAM_BYTES_MAX = 65_507;
const LARGE = 2_600_000;

export async function socketArea(wires: Wires): Promise<Area> {
  const write: MemoryOperation = {
    name: "socket.write and end",
    weight: 20,
    takes: "data",
    bytesMax: LARGE,
    async run(step, memory, changing) {
      const wire = await wires.socket(step);
      const { socket } = wire;
      wire.expect(step, memory.letters);
      if (step.oneIn(10)) wire.answer(Buffer.alloc(100, "p"));
      const offset = step.oneIn(4) ? step.below(memory.bytes + 1) : 0;
      const length = step.oneIn(4) ? step.below(memory.bytes - offset + 1) : undefined;
      const ends = step.oneIn(30);
      const call = (): number =>
        ends ? socket.end(memory.data, offset, length) : socket.write(memory.data, offset, length);
      const taken = step.attempt(() => changing.under(call)) ?? 0;
      checkTaken(step, memory, taken, offset, length);
      let sent = taken;
      if (!ends && step.oneIn(3)) {
        const more = step.attempt(() => socket.write(memory.data)) ?? 0;
        checkTaken(step, memory, more, 0, undefined);
        sent += more;
      }
      await wire.arrived(sent);
      if (!ends) return wire.free();
      await wire.closed();
      wire.compare();
    },
  };

  const streamWrite: MemoryOperation = {
    name: "StreamSocket.write, end and writable",
    weight: 20,
    takes: "data",
    bytesMax: LARGE,
    async run(step, memory, changing) {
      const wire = await wires.stream(step);
      const { stream } = wire;
      const { data } = memory;
      wire.expect(step, memory.letters);
      const before = wire.peer.received;
      const ends = step.oneIn(30);
      const writer = !ends && step.oneIn(4) ? stream.writable.getWriter() : undefined;
      const write = (): Promise<unknown> =>
        ends ? stream.end(data) : writer === undefined ? stream.write(data) : writer.write(data);
      const isDone = await step.outcome(changing.under(write).then(() => true));
      if (!ends && writer === undefined) {
        // The call does not tell how many bytes it wrote. So a mark follows them.
        const marked = wire.peer.marked();
        await stream.write(Uint8Array.of(MARK));
        await marked;
        const bytes = wire.peer.received - before;
        if (bytes > memory.bytesMax) step.violation(`${bytes} bytes were sent of ${memory.bytesMax}`);
        wire.peer.awaited = wire.peer.received;
        return wire.free();
      }
      // After an error a web stream is broken, and this one has been used.
      writer?.releaseLock();
      if (isDone === undefined || !ends) stream.destroy();
      await wire.closed();
    },
  };

  const udp = await Datagrams.open();
  const datagram: MemoryOperation = {
    name: "udp send and sendMany",
    weight: 20,
    takes: "data",
    bytesMax: DATAGRAM_BYTES_MAX + 10,
    async run(step, memory, changing) {
      await udp.send(step, memory, (call) => changing.under(call));
    },
  };

  return {
    operations: [write, streamWrite, datagram],
    close: () => udp.close(),
  };
}

function checkTaken(step: Step, memory: UserMemory, taken: number, offset: number, length: number | undefined): void {
  if (taken > (length ?? memory.bytesMax - offset)) step.violation(`${taken} bytes were taken of ${memory.bytes}`);
}

/** Datagrams on their way from one socket. They may be lost, but not changed. */
interface Sent {
  /** Number of datagrams of each length that have not arrived. */
  lengths: Map<number, number>;
  socket: UdpSocket;
  /** The last step, for the report of a violation. */
  step: Step | undefined;
}

class Datagrams {
  private readonly sockets: Sent[] = [];
  private readonly receiver: Bun.udp.Socket<"buffer">;

  private constructor(receiver: Bun.udp.Socket<"buffer">) {
    this.receiver = receiver;
  }

  static async open(): Promise<Datagrams> {
    let datagrams: Datagrams | undefined;
    const receiver = await Bun.udpSocket({
      hostname: HOST,
      socket: { data: (_, bytes, port) => datagrams?.receive(bytes, port) },
    });
    datagrams = new Datagrams(receiver);
    for (let i = 0; i < 8; i++) {
      const isConnected = i % 2 === 0;
      const socket = await udpSocket({
        hostname: HOST,
        ...(isConnected && { connect: { hostname: HOST, port: receiver.port } }),
      });
      datagrams.sockets.push({ lengths: new Map(), socket, step: undefined });
    }
    return datagrams;
  }

  async send(step: Step, memory: UserMemory, under: (call: () => number) => number): Promise<void> {
    const sent = step.pick(this.sockets);
    const { socket } = sent;
    const to = socket.remoteAddress ? [] : [this.receiver.port, HOST];
    const times = 1 + step.below(4);
    const { data } = memory;
    sent.step = step;
    // The number of bytes in the memory at the call, even if the memory gives another length.
    const length = memory.races ? -1 : memory.bytes;
    const call = (): number => {
      if (times > 1) return socket.sendMany(Array.from({ length: times }, () => [data, ...to]).flat() as never[]);
      return socket.send(data, ...(to as [number, string])) ? 1 : 0;
    };
    const taken = step.attempt(() => under(call)) ?? 0;
    if (memory.races) for (let bytes = memory.bytes; bytes <= memory.bytesMax; bytes++) this.note(sent, bytes, taken);
    else this.note(sent, length, taken);
    step.count("datagrams", "sent", taken);
    await turns(1);
  }

  close(): void {
    for (const { socket } of this.sockets) socket.close();
    this.receiver.close();
  }

  private note({ lengths }: Sent, bytes: number, count: number): void {
    lengths.set(bytes, (lengths.get(bytes) ?? 0) + count);
  }

  private receive(bytes: Uint8Array, port: number): void {
    const sent = this.sockets.find(({ socket }) => socket.port === port);
    const { step } = sent!;
    const { length } = bytes;
    check(step!, "a datagram", bytes, 0x7ffffff);
    step!.count("datagrams", "come");
    const count = sent!.lengths.get(length) ?? 0;
    if (count === 0) step!.violation(`a datagram of ${length} bytes came, and none was sent`);
    else sent!.lengths.set(length, count - 1);
  }
}
