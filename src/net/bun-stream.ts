/**
 * A stream socket of Bun's own, with as much of a connection's interface as StreamSocket needs: for connectStream and listenStream where the ring
 * cannot serve.
 *
 * Guarantees: what is written is a copy, is queued in full and leaves in order; `onClose` is called once, last.
 */
import { originals } from "../sys/bun-originals.ts";
import type { SocketAddress } from "./address.ts";
import { ConnectionState } from "./connection-flags.ts";
import type { Transport, TransportUser } from "./stream-socket.ts";

type Own = Bun.Socket<BunStream>;
/** Makes the user of a transport when its socket is open. */
type Opened = (transport: (user: TransportUser) => Transport) => void;

export class BunStream implements Transport {
  state: ConnectionState = ConnectionState.Open;
  queuedBytes = 0;

  private readonly socket: Own;
  private readonly user: TransportUser;
  private readonly queue: Uint8Array[] = [];
  private drainRequested = false;
  /** What follows when all has left. */
  private afterSending: "nothing" | "end" | "close" = "nothing";
  private peerEnded = false;

  constructor(socket: Own, user: TransportUser) {
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

  end(): void {
    if (this.state !== ConnectionState.Open) return;
    this.state = ConnectionState.Ending;
    this.afterSending = "end";
    if (this.queuedBytes === 0) this.finish();
  }

  closeAfterSending(): void {
    if (this.state === ConnectionState.Closed) return;
    this.state = ConnectionState.Ending;
    this.afterSending = "close";
    if (this.queuedBytes === 0) this.finish();
  }

  destroy(): void {
    if (this.state !== ConnectionState.Closed) this.socket.terminate();
  }

  /** Only its StreamSocket holds it: the reason does not matter. */
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

  /** Writes as much of the queue as Bun takes; `drain` says when it takes more. */
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
    this.finish();
    if (!this.drainRequested) return;
    this.drainRequested = false;
    this.user.onDrain();
  }

  /** The peer sends no more. Its own end has closed the socket where ours has left before. */
  endByPeer(): void {
    this.peerEnded = true;
    this.user.onEnd();
    if (this.afterSending === "end" && this.queuedBytes === 0) this.socket.end();
  }

  close(error: Error | undefined): void {
    if (this.state === ConnectionState.Closed) return;
    this.state = ConnectionState.Closed;
    this.user.onClose(error);
  }

  receive(bytes: Buffer): void {
    this.user.onData(bytes, 0, bytes.length);
  }

  private finish(): void {
    if (this.afterSending === "close" || (this.afterSending === "end" && this.peerEnded)) this.socket.end();
    else if (this.afterSending === "end") this.socket.shutdown();
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

/** Bun.connect; `opened` is called before the promise resolves. */
export async function connectByBun(options: object, opened: Opened): Promise<void> {
  await originals.connect({ ...options, allowHalfOpen: true, socket: handlers(opened) } as never);
}

/** Bun.listen, as a listener of the ring's kind. */
export function listenByBun(options: object, opened: Opened): { address: SocketAddress | undefined; close(): void } {
  const listener = originals.listen({ ...options, allowHalfOpen: true, socket: handlers(opened) } as never);
  const { hostname, port } = listener as Bun.TCPSocketListener<undefined>;
  const address = port === undefined ? undefined : addressOf(hostname, port, hostname.includes(":") ? "IPv6" : "IPv4");
  return { address, close: () => listener.stop() };
}
