/**
 * A listening stream socket: one multishot accept serves all connections.
 *
 * Guarantees: the socket is bound and listens when the constructor returns. Without free
 * descriptors, the listener neither spins nor dies, and it continues when some are free again.
 */
import { IORING_CQE_F_MORE } from "../sys/abi.ts";
import { SHUT_RDWR, SOCK_CLOEXEC } from "../sys/socket-abi.ts";
import { assert } from "../sys/assert.ts";
import { ECANCELED, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, SystemError } from "../sys/errno.ts";
import { native } from "../sys/library.ts";
import type { OperationOwner, OwnerKind } from "../reactor/op-table.ts";
import type { Flushable } from "../reactor/flush-queue.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { WheelEntry } from "../reactor/wheel.ts";
import { localAddress, localPath, type SocketAddress } from "./address.ts";
import { type ListenTarget, openListeningSocket, unlinkSocket } from "./open-socket.ts";

/** Milliseconds until a listener without free descriptors tries again. */
const EXHAUSTED_RETRY_MS = 100;

const enum Kind {
  Cancel,
  Close,
  /** A multishot accept: see DESCRIPTOR_KIND. */
  Accept = 7,
}

/** States of a listener. Each comment says what may be in flight in the state. */
const State = {
  /** An accept. */
  Listening: 0,
  /** The accept that is being cancelled, and its cancellation. Connections may still come. */
  Paused: 1,
  /** The close, the cancellation, and the last completions of the operations before them. */
  Closing: 2,
  /** Nothing. */
  Closed: 3,
} as const;
type State = (typeof State)[keyof typeof State];

/** The states that may follow each state. */
const successors: Record<State, readonly State[]> = {
  [State.Listening]: [State.Paused, State.Closing],
  [State.Paused]: [State.Listening, State.Closing],
  [State.Closing]: [State.Closed],
  [State.Closed]: [],
};

export class Listener extends WheelEntry implements OperationOwner, Flushable {
  /**
   * The bound address: the numeric address and the actual port. Undefined for other than IP
   * sockets.
   */
  readonly address: SocketAddress | undefined;
  /** The path or abstract name of a Unix socket; undefined for an IP socket. */
  readonly unix: string | undefined;

  private readonly reactor: Reactor;
  private readonly slot: number;
  private readonly onConnection: (fd: number) => void;
  private readonly target: ListenTarget;
  /** The descriptor; -1 once the listener is closing. */
  fd: number;
  private state: State = State.Listening;
  private acceptArmed = false;
  private referenced = true;

  /**
   * `onConnection` becomes the owner of each accepted descriptor. Throws SystemError with `syscall:
   * "listen"`, address and port.
   */
  constructor(reactor: Reactor, target: ListenTarget, onConnection: (fd: number) => void) {
    super();
    this.reactor = reactor;
    this.onConnection = onConnection;
    this.target = target;
    this.fd = openListeningSocket(target);
    reactor.lane.owned.add(this.fd);
    this.address = localAddress(this.fd);
    this.unix = this.address ? undefined : (target.unix ?? localPath(this.fd));
    this.slot = reactor.lane.operations.acquire(this);
    reactor.quietSlots++;
    reactor.ref();
    reactor.scheduleFlush(this);
  }

  get metricsKind(): OwnerKind | undefined {
    return this.isClosing ? undefined : "listener";
  }

  private get isClosing(): boolean {
    return this.state >= State.Closing;
  }

  /** Stops accepting. Accepted connections stay open. */
  close(): void {
    if (this.isClosing) return;
    this.move(State.Closing);
    const { reactor, slot } = this;
    reactor.wheel.clear(this);
    this.cancelAccept();
    // The accept in flight keeps the socket until its cancellation is read. The shutdown ends the
    // listening, and frees the port, at once. But a descriptor from elsewhere may have another user
    // that goes on listening.
    if (this.target.fd === undefined) native().rl_shutdown(this.fd, SHUT_RDWR);
    if (this.target.unix !== undefined) unlinkSocket(this.target.unix);
    reactor.lane.owned.delete(this.fd);
    reactor.lane.tag(reactor.lane.nextSqe().prepClose(this.fd), slot, Kind.Close);
    this.fd = -1;
  }

  /**
   * Leaves new connections in the kernel's queue, or accepts them again. Connections accepted
   * before a pause took effect still come.
   */
  setPaused(paused: boolean): void {
    const wanted = paused ? State.Paused : State.Listening;
    if (this.state === wanted || this.isClosing) return;
    this.move(wanted);
    if (paused) this.cancelAccept();
    else this.reactor.scheduleFlush(this);
  }

  setReferenced(referenced: boolean): void {
    if (this.referenced === referenced || this.state === State.Closed) return;
    this.referenced = referenced;
    if (referenced) this.reactor.ref();
    else this.reactor.unref();
  }

  /** Called by the wheel: descriptors may be free again. */
  override fire(): void {
    this.reactor.scheduleFlush(this);
  }

  flush(): void {
    if (!this.acceptArmed && this.state === State.Listening) this.armAccept();
  }

  private armAccept(): void {
    assert(!this.acceptArmed, "a listener has one accept in flight");
    assert(this.state === State.Listening, "a listener accepts while it listens");
    this.acceptArmed = true;
    this.reactor.lane.tag(
      this.reactor.lane.nextSqe().prepMultishotAccept(this.fd, SOCK_CLOEXEC),
      this.slot,
      Kind.Accept,
    );
  }

  complete(kind: number, result: number, flags: number): void {
    if (kind === Kind.Accept) this.acceptCompleted(result, flags);
    // A cancellation misses (EALREADY) an accept that is just being woken.
    if (kind === Kind.Cancel && result < 0 && this.state !== State.Listening) this.cancelAccept();
    if (this.state === State.Closing && this.reactor.lane.operations.inFlightOf(this.slot) === 0) this.release();
  }

  /** Nothing is in flight any more. */
  private release(): void {
    this.move(State.Closed);
    this.reactor.lane.operations.release(this.slot);
    this.reactor.quietSlots--;
    if (this.referenced) this.reactor.unref();
  }

  private cancelAccept(): void {
    if (this.acceptArmed) this.reactor.lane.cancel(this.slot, Kind.Accept, Kind.Cancel);
  }

  private acceptCompleted(result: number, flags: number): void {
    if ((flags & IORING_CQE_F_MORE) === 0) this.acceptArmed = false;
    if (result >= 0) {
      this.reactor.lane.own(result);
      if (this.isClosing) {
        this.reactor.lane.owned.delete(result);
        native().rl_close(result); // It was accepted while the cancellation was under way.
      } else {
        if (!this.acceptArmed) this.rearm();
        this.reactor.lane.traffic.accepts++;
        this.onConnection(result);
        return;
      }
    }
    if (this.isClosing) return;
    const { traffic } = this.reactor.lane;
    switch (-result) {
      case EMFILE:
      case ENFILE:
        traffic.acceptsWithoutDescriptor++;
        return this.retryLater();
      case ENOBUFS:
      case ENOMEM:
        traffic.acceptsWithoutMemory++;
        return this.retryLater();
      // The socket does not listen any more (its descriptor was shut down elsewhere), or there is
      // no multishot accept (before Linux 5.19).
      case EINVAL:
        throw new SystemError(EINVAL, "accept");
      case ECANCELED:
        if (!this.acceptArmed) this.rearm();
        return;
      // ECONNABORTED, EPROTO, ENETDOWN...: one connection is lost, and the listener is not
      // (accept(2), "Error handling").
      default:
        traffic.acceptsLost++;
        if (!this.acceptArmed) this.rearm();
    }
  }

  private retryLater(): void {
    if (!this.acceptArmed) this.reactor.setDeadline(this, EXHAUSTED_RETRY_MS);
  }

  private rearm(): void {
    this.reactor.lane.counters.rearms++;
    this.flush();
  }

  private move(to: State): void {
    assert(
      successors[this.state].includes(to),
      "a listener is paused and goes on until it closes, and does not open again",
    );
    this.state = to;
  }
}
