/**
 * `connect`: a stream client on the ring, with the options, handlers and result of Bun.connect.
 *
 * Guarantees: the addresses of a name are tried one after another, in the order of Bun's resolver.
 * The promise settles once. When it rejects, nothing is left open.
 *
 * If an option is not served by the ring yet, the whole call goes to Bun.connect, with one notice.
 * With `fallback: false`, it throws an error instead.
 */
import { leavesToBun, markAsBuns, reactorFor } from "../../operations/fallback.ts";
import type { OperationOwner } from "../../reactor/op-table.ts";
import type { Reactor } from "../../reactor/reactor.ts";
import type { Chunk } from "../../ring/arena.ts";
import { originals } from "../../sys/bun-originals.ts";
import { SystemError } from "../../sys/errno.ts";
import { native } from "../../sys/library.ts";
import { encodeAddress } from "../../transport/address.ts";
import { NEVER_OPEN } from "../../transport/connection.ts";
import { type DescriptorOptions, readContext, type StreamOptions, type UnixOptions } from "./listen.ts";
import { adoptSocket, openStreamSocket } from "../../transport/open-socket.ts";
import { connectFailure, nameFailure } from "./failure.ts";
import { hostOf, readEndpoint } from "./options.ts";
import { invalidType, requireObject } from "../../sys/check.ts";
import { Socket } from "./socket.ts";
import { UnixAddress } from "../../transport/unix-address.ts";

export interface TcpConnectOptions<Data = undefined> extends StreamOptions<Data> {
  /** A numeric address or a name. */
  hostname: string;
  /** 0 to 65535. */
  port: number;
}

export function connect<Data = undefined>(
  options: TcpConnectOptions<Data> | UnixOptions<Data> | DescriptorOptions<Data>,
): Promise<Socket<Data>> {
  requireObject("options", options);
  const left = leavesToBun("connect", options as unknown as Record<string, unknown>, ["tls"]);
  const reactor = left ? undefined : reactorFor("connect", options);
  if (!reactor) return connectByBun(options);
  const endpoint = readEndpoint(options);
  if (endpoint.port !== undefined && endpoint.hostname === undefined)
    throw invalidType("hostname", "a non-empty string", undefined);
  const context = { ...readContext(options), closed() {} };
  const data = options.data as Data;
  const connected = Promise.withResolvers<Socket<Data>>();
  const { connectError } = context.handlers;
  // As with Bun's promise, a program that gets the failure in `connectError` need not catch the
  // rejection.
  if (connectError !== undefined) connected.promise.catch(() => {});
  const succeeded = (fd: number): void => {
    const socket = new Socket<Data>(reactor, fd, context, data);
    // As in Bun, code that awaits the promise continues before the jobs of `open`.
    connected.resolve(socket);
    try {
      socket.onOpen();
    } catch (error) {
      // The program's `open` has thrown, and the socket exists. So the error is an uncaught
      // exception, and the promise does not reject.
      queueMicrotask(() => {
        throw error;
      });
    }
  };
  const failed = (error: Error): void => {
    try {
      const socket = new Socket<Data>(reactor, NEVER_OPEN, context, data);
      const failure = connectFailure(error);
      connectError?.call(socket, socket, failure as Error);
      connected.reject(failure);
    } catch (thrown) {
      connected.reject(thrown);
    }
  };
  void openConnection(reactor, endpoint).then(succeeded, failed);
  return connected.promise;
}

function connectByBun<Data>(options: StreamOptions<Data>): Promise<Socket<Data>> {
  const socket = originals.connect(options as never).then(markAsBuns);
  // As with Bun's promise, a program that gets the failure in `connectError` need not catch the
  // rejection.
  if (options.socket?.connectError) socket.catch(() => {});
  return socket as unknown as Promise<Socket<Data>>;
}

/**
 * Returns a connected descriptor. After `signal` is aborted, no further address is tried. The
 * promise settles when no operation is in flight any more.
 */
export async function openConnection(
  reactor: Reactor,
  endpoint: ReturnType<typeof readEndpoint>,
  signal?: AbortSignal,
): Promise<number> {
  const { fd, unix, hostname, port } = endpoint;
  if (fd !== undefined) return adoptSocket(fd, "connect");
  if (unix !== undefined) {
    using address = new UnixAddress(unix, "connect");
    return await new Attempt(reactor, address.bytes, { address: unix }, signal).connected;
  }
  let failure: unknown;
  for (const address of await resolve(hostOf(hostname!))) {
    signal?.throwIfAborted();
    try {
      return await new Attempt(reactor, encodeAddress(address, port!), { address, port: port! }, signal).connected;
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** Returns a numeric address as it is. Returns the addresses of a name from Bun's resolver. */
async function resolve(hostname: string): Promise<string[]> {
  if (/^[\d.]+$|:/.test(hostname)) return [hostname];
  const found = await Bun.dns.lookup(hostname, { socketType: "tcp" }).catch((error) => {
    throw nameFailure(hostname, error);
  });
  return [...new Set(found.map(({ address }) => address))];
}

const enum AttemptKind {
  Connect,
  Cancel,
}

/** One connect(2) on the ring. */
class Attempt implements OperationOwner {
  readonly connected: Promise<number>;
  private readonly reactor: Reactor;
  private readonly where: { address: string; port?: number };
  private readonly slot: number;
  private readonly fd: number;
  /** The memory of the sockaddr, kept until the connect has completed. */
  private readonly chunk: Chunk;
  private readonly settled = Promise.withResolvers<number>();
  private readonly signal: AbortSignal | undefined;
  private isOver = false;

  constructor(reactor: Reactor, address: Uint8Array, where: { address: string; port?: number }, signal?: AbortSignal) {
    this.reactor = reactor;
    this.signal = signal;
    this.where = where;
    this.fd = openStreamSocket(address);
    reactor.lane.owned.add(this.fd);
    this.connected = this.settled.promise;
    this.chunk = reactor.arena.allocate(address.length);
    this.chunk.buffer.set(address);
    this.slot = reactor.lane.operations.acquire(this);
    reactor.ref();
    const sqe = reactor.lane.nextSqe().prepConnect(this.fd, this.chunk.address, address.length);
    reactor.lane.tag(sqe, this.slot, AttemptKind.Connect);
    signal?.addEventListener("abort", this);
  }

  /** Cancels the connect. Called when the signal is aborted. */
  handleEvent(): void {
    this.reactor.lane.cancel(this.slot, AttemptKind.Connect, AttemptKind.Cancel);
  }

  complete(kind: number, result: number): void {
    if (kind === AttemptKind.Cancel) {
      // The cancel fails (EALREADY) while the kernel wakes the connect. Then it is tried again.
      if (result < 0 && !this.isOver) this.handleEvent();
      return;
    }
    const { reactor } = this;
    this.isOver = true;
    this.signal?.removeEventListener("abort", this);
    reactor.arena.free(this.chunk);
    reactor.lane.operations.release(this.slot);
    reactor.unref();
    if (result >= 0) {
      reactor.lane.traffic.connects++;
      return this.settled.resolve(this.fd);
    }
    reactor.lane.owned.delete(this.fd);
    native().rl_close(this.fd);
    this.settled.reject(new SystemError(-result, "connect", this.where));
  }
}
