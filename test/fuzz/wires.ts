/**
 * Connections between ringloop and Bun's own sockets, which check every byte that they receive.
 *
 * Guarantees: a wire belongs to one step until it is freed. A peer counts the bytes that it
 * receives. A byte that was not written is a violation.
 */
import { connectStream, listenStream, type Socket, type StreamSocket } from "../../src/index.ts";
import { connect, listen, reactor as used } from "../behaviour/subject.ts";
import { type Step, turns } from "./campaign.ts";
import { ALPHABET, check, type Letters, lettersOf } from "./user-memory.ts";

const HOST = "127.0.0.1";
const [AF_INET, SOCK_STREAM] = [2, 1];
const HELLO_BYTES = 8;
/** A byte that is not a letter. It marks the end of the written bytes. */
export const MARK = 0x0a;
/** The byte in the answers of peers. */
export const PEER_LETTER = 0x70;

type Native = Bun.Socket<Peer | undefined>;

/** The end of a wire that uses Bun's own socket. */
class Peer {
  socket: Native | undefined;
  step: Step | undefined;
  letters: Letters = ALPHABET;
  /** Number of received bytes, without the hello. */
  received = 0;
  /** Number of bytes that must arrive in total. */
  awaited = 0;
  readonly closing = Promise.withResolvers<void>();
  private wake: (() => void) | undefined;
  private wakeAtMark: (() => void) | undefined;

  feed(bytes: Uint8Array): void {
    if (this.wakeAtMark !== undefined && bytes.at(-1) === MARK) {
      bytes = bytes.subarray(0, -1);
      this.wakeAtMark();
      this.wakeAtMark = undefined;
    }
    if (this.step) check(this.step, "the wire", bytes, this.letters);
    this.received += bytes.length;
    if (this.received >= this.awaited) this.wake?.();
  }

  arrived(): Promise<void> {
    if (this.received >= this.awaited) return Promise.resolve();
    return new Promise((resolve) => (this.wake = resolve));
  }

  marked(): Promise<void> {
    return new Promise((resolve) => (this.wakeAtMark = resolve));
  }
}

export class Wire {
  readonly peer: Peer;
  private readonly pool: Wire[] | undefined;

  constructor(peer: Peer, pool?: Wire[]) {
    this.peer = peer;
    this.pool = pool;
  }

  /** Gives the wire to a step, which will write these letters. */
  expect(step: Step, letters: Letters): void {
    const { peer } = this;
    peer.step = step;
    peer.letters = letters;
  }

  /** Resolves when `bytes` more bytes have arrived. */
  arrived(bytes: number): Promise<void> {
    this.peer.awaited += bytes;
    return this.peer.arrived();
  }

  answer(bytes: Uint8Array): void {
    if (this.peer.socket!.write(bytes) !== bytes.length) throw new Error("the answer is too long");
  }

  /** Reports bytes that have arrived although they were not written. */
  compare(): void {
    const { received, awaited, step } = this.peer;
    if (received !== awaited) step!.violation(`the peer got ${received} bytes, and ${awaited} were written`);
  }

  free(): void {
    this.compare();
    this.pool!.push(this);
  }

  /** Resolves when Bun's end is closed. */
  closed(): Promise<void> {
    return this.peer.closing.promise;
  }

  close(): void {
    this.peer.socket?.terminate();
  }
}

export class RawWire extends Wire {
  readonly fd: number;
  private readonly reactor = used()!;

  constructor(peer: Peer, pool: Wire[], fd: number) {
    super(peer, pool);
    this.fd = fd;
  }

  discard(): void {
    this.close();
  }

  override close(): void {
    super.close();
    void this.reactor.closeFd(this.fd);
  }
}

export class SocketWire extends Wire {
  readonly socket: Socket<any>;

  constructor(peer: Peer, pool: Wire[], socket: Socket<any>) {
    super(peer, pool);
    this.socket = socket;
  }

  override close(): void {
    this.socket.terminate();
  }
}

export class StreamWire extends Wire {
  readonly stream: StreamSocket;

  constructor(peer: Peer, pool: Wire[], stream: StreamSocket) {
    super(peer, pool);
    this.stream = stream;
  }

  override close(): void {
    this.stream.destroy();
  }
}

export class Wires {
  private readonly rawPool: RawWire[] = [];
  private readonly socketPool: SocketWire[] = [];
  private readonly streamPool: StreamWire[] = [];
  private readonly greeted = new Map<string, (peer: Peer) => void>();
  private hellos = 0;
  private readonly sink = Bun.listen<Peer | undefined>({
    hostname: HOST,
    port: 0,
    data: undefined,
    socket: {
      open: (socket) => {
        socket.data = undefined;
      },
      data: (socket, bytes) => this.greet(socket, bytes),
      close: (socket) => socket.data?.closing.resolve(),
      error: (socket) => socket.data?.closing.resolve(),
    },
  });
  private readonly accepted = new Map<number, PromiseWithResolvers<any>>();
  private readonly listener = listen({
    hostname: HOST,
    port: 0,
    socket: {
      open: (socket) => this.acceptedAt(socket.remotePort).resolve(socket),
      data: (_, data) => this.take(data),
    },
  });
  private readonly streams = listenStream({ hostname: HOST, port: 0 });
  private readonly datagrams: Bun.udp.Socket<"buffer">;
  private foreign = 0;

  private constructor(datagrams: Bun.udp.Socket<"buffer">) {
    this.datagrams = datagrams;
    void this.acceptStreams();
  }

  static async open(): Promise<Wires> {
    return new Wires(await Bun.udpSocket({ hostname: HOST }));
  }

  /** Returns a wire with a connected descriptor. */
  async raw(): Promise<RawWire> {
    const free = this.rawPool.pop();
    if (free) return free;
    const reactor = used()!;
    const fd = await reactor.socket(AF_INET, SOCK_STREAM);
    await reactor.connect(fd, { hostname: HOST, port: this.sink.port });
    const [hello, peer] = this.hello();
    await reactor.send(fd, hello);
    return new RawWire(await peer, this.rawPool, fd);
  }

  /** Returns a wire with a socket of `connect` or `listen`. */
  async socket(step: Step): Promise<SocketWire> {
    const free = this.socketPool.pop();
    if (free) return free;
    if (step.oneIn(2)) {
      const socket = await connect({
        hostname: HOST,
        port: this.sink.port,
        socket: { data: (_, data) => this.take(data) },
      });
      const [hello, peer] = this.hello();
      socket.write(hello);
      return new SocketWire(await peer, this.socketPool, socket);
    }
    const [peer, accepted] = await this.dial(this.listener.port);
    return new SocketWire(peer, this.socketPool, accepted as Socket);
  }

  /** Returns a wire with a socket of `connectStream` or `listenStream`. */
  async stream(step: Step): Promise<StreamWire> {
    const free = this.streamPool.pop();
    if (free) return free;
    if (step.oneIn(2)) {
      const stream = await connectStream({ hostname: HOST, port: this.sink.port });
      const [hello, peer] = this.hello();
      await stream.write(hello);
      return new StreamWire(await peer, this.streamPool, stream);
    }
    const [peer, accepted] = await this.dial(this.streams.address!.port);
    return new StreamWire(peer, this.streamPool, accepted as StreamSocket);
  }

  /** Binds a descriptor to a free port. */
  async bindDatagrams(fd: number): Promise<number | undefined> {
    const free = await Bun.udpSocket({ hostname: HOST });
    const { port } = free;
    free.close();
    try {
      await used()!.bind(fd, { hostname: HOST, port });
      return port;
    } catch {
      return undefined; // Another socket has taken the port meanwhile.
    }
  }

  sendDatagram(bytes: Uint8Array, port: number): void {
    this.datagrams.send(bytes, port, HOST);
  }

  async close(): Promise<void> {
    for (const wire of [...this.rawPool, ...this.socketPool, ...this.streamPool]) wire.close();
    await turns(3);
    this.listener.stop(true);
    this.streams.stop();
    this.sink.stop(true);
    this.datagrams.close();
    if (this.foreign > 0) throw new Error(`${this.foreign} bytes came to ringloop's sockets that no peer has sent`);
  }

  /** The bytes that a handler gets belong to it. This handler changes and transfers them. */
  private take(data: Uint8Array): void {
    for (const byte of data) if (byte !== PEER_LETTER) this.foreign++;
    data.fill(0x7a);
    if (data.byteLength > 0 && data.byteLength === data.buffer.byteLength)
      structuredClone(data, { transfer: [data.buffer as ArrayBuffer] });
  }

  private hello(): [hello: Buffer, peer: Promise<Peer>] {
    let name = "";
    for (let left = this.hellos++, i = 0; i < HELLO_BYTES; i++, left = Math.floor(left / 26))
      name += String.fromCharCode(0x61 + (left % 26));
    const { promise, resolve } = Promise.withResolvers<Peer>();
    this.greeted.set(name, resolve);
    return [Buffer.from(name), promise];
  }

  /** Reads a hello. It arrives in one piece, because its socket has sent nothing else. */
  private greet(socket: Native, bytes: Buffer): void {
    if (socket.data) return socket.data.feed(bytes);
    const name = bytes.toString("latin1", 0, HELLO_BYTES);
    const resolve = this.greeted.get(name);
    if (resolve === undefined) throw new Error(`a connection begins with ${JSON.stringify(name)}`);
    this.greeted.delete(name);
    const peer = (socket.data = new Peer());
    peer.socket = socket;
    resolve(peer);
  }

  private async dial(port: number): Promise<[Peer, unknown]> {
    const peer = new Peer();
    const socket = await Bun.connect<Peer | undefined>({
      hostname: HOST,
      port,
      data: peer,
      socket: {
        data: (_, bytes) => peer.feed(bytes),
        close: () => peer.closing.resolve(),
        error: () => peer.closing.resolve(),
      },
    });
    peer.socket = socket as Native;
    const accepted = await this.acceptedAt(socket.localPort).promise;
    this.accepted.delete(socket.localPort);
    return [peer, accepted];
  }

  private acceptedAt(port: number): PromiseWithResolvers<any> {
    let waiting = this.accepted.get(port);
    if (waiting === undefined) this.accepted.set(port, (waiting = Promise.withResolvers()));
    return waiting;
  }

  private async acceptStreams(): Promise<void> {
    for await (const stream of this.streams) this.acceptedAt(stream.remoteAddress!.port).resolve(stream);
  }
}

export const PEER_LETTERS: Letters = lettersOf(PEER_LETTER);
