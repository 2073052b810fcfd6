/**
 * A stream socket of Bun with the part of a connection's interface that StreamSocket needs.
 * connectStream and listenStream use it if the ring cannot serve.
 *
 * Guarantees: written bytes are copied, all of them are queued, and they leave in order. `onClose`
 * is called once, as the last call.
 */
import { originals } from "../../sys/bun-originals.ts";
import type { SocketAddress } from "../../transport/address.ts";
import type { StreamTransport, StreamUser } from "./stream-socket.ts";
import type { Finish } from "../../transport/transport.ts";

type Own = Bun.Socket<BunStream>;
/** Called when a socket is open. Its argument makes the transport for a user. */
type Opened = (transport: (user: StreamUser) => StreamTransport) => void;

export class BunStream implements StreamTransport {
  isOpen = true;
  /** This object queues bytes itself. */
  readonly outbox = this;
  queuedBytes = 0;

  private readonly socket: Own;
  private readonly user: StreamUser;
  private readonly queue: Uint8Array[] = [];
  private drainRequested = false;
  /** The finish that follows when everything has left. Undefined before `finish()`. */
  private atDrain: Finish | undefined;
  private peerEnded = false;
  private isClosed = false;

  constructor(socket: Own, user: StreamUser) {
    this.socket = socket;
    this.user = user;
    socket.data = this;
  }

  get localAddress(): SocketAddress | undefined {
    const { localAddress: address, localPort: port, localFamily: family } = this.socket;
    return addressOf(address, port, family);
  }

  get remoteAddress(): SocketAddress | undefined {
    const { remoteAddress: address, remotePort: port, remoteFamily: family } = this.socket;
    return addressOf(address, port, family);
  }

  write(bytes: Uint8Array): void {
    this.queue.push(Uint8Array.from(bytes));
    this.queuedBytes += bytes.length;
    if (this.queue.length === 1) this.flush();
  }

  requestDrain(): void {
    this.drainRequested = true;
  }

  finish(how: Finish): void {
    if (this.isClosed || (how === "fin" && !this.isOpen)) return;
    this.isOpen = false;
    this.atDrain = how;
    if (this.queuedBytes === 0) this.drained();
  }

  destroy(): void {
    if (!this.isClosed) this.socket.terminate();
  }

  /**
   * Pauses the socket. There is no parameter for the reason, because only the StreamSocket pauses
   * this transport.
   */
  hold(): void {
    this.socket.pause();
  }

  release(): void {
    this.socket.resume();
  }

  setReferenced(on: boolean): void {
    if (on) this.socket.ref();
    else this.socket.unref();
  }

  /** Writes as much of the queue as Bun accepts. Bun calls `drain` when it accepts more. */
  flush(): void {
    const { queue, socket } = this;
    while (queue.length > 0) {
      const bytes = queue[0]!;
      const taken = Math.max(socket.write(bytes), 0);
      this.queuedBytes -= taken;
      if (taken < bytes.length) {
        queue[0] = bytes.subarray(taken);
        return;
      }
      queue.shift();
    }
    this.drained();
    if (!this.drainRequested) return;
    this.drainRequested = false;
    this.user.onDrain();
  }

  /** The peer sends no more. If our FIN has left before, this closes the socket. */
  endByPeer(): void {
    this.peerEnded = true;
    this.user.onEnd();
    if (this.atDrain === "fin" && this.queuedBytes === 0) this.socket.end();
  }

  close(error: Error | undefined): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.isOpen = false;
    this.user.onClose(error);
  }

  receive(bytes: Buffer): void {
    this.user.consume(bytes, 0, bytes.length);
  }

  private drained(): void {
    if (this.atDrain === undefined) return;
    if (this.atDrain === "fin" && !this.peerEnded) this.socket.shutdown();
    else this.socket.end();
  }
}

function addressOf(address: string, port: number, family: string): SocketAddress | undefined {
  return address ? { address, port, family: family as SocketAddress["family"] } : undefined;
}

function handlers(opened: Opened): Bun.SocketHandler<BunStream> {
  return {
    open: (socket) => opened((user) => new BunStream(socket, user)),
    data: ({ data }, bytes) => data.receive(bytes),
    drain: ({ data }) => data.flush(),
    end: ({ data }) => data.endByPeer(),
    close: ({ data }, error) => data?.close(error),
    error(socket, error) {
      socket.data?.close(error);
      socket.terminate();
    },
  };
}

/** Connects by Bun.connect. `opened` is called before the promise resolves. */
export async function connectByBun(options: object, opened: Opened): Promise<void> {
  await originals.connect({ ...options, allowHalfOpen: true, socket: handlers(opened) } as never);
}

/** Listens by Bun.listen. Returns an object with the interface of the ring's listener. */
export function listenByBun(options: object, opened: Opened): { address: SocketAddress | undefined; close(): void } {
  const listener = originals.listen({ ...options, allowHalfOpen: true, socket: handlers(opened) } as never);
  const { hostname, port } = listener as Bun.TCPSocketListener<undefined>;
  const address = port === undefined ? undefined : addressOf(hostname, port, hostname.includes(":") ? "IPv6" : "IPv4");
  return { address, close: () => listener.stop() };
}
