/** Every operation on sockets. The tests run them in the kernel. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { closeSync } from "node:fs";
import {
  AF_INET,
  type BufRing,
  errnoName,
  IORING_CQE_F_MORE,
  IORING_CQE_F_NOTIF,
  IORING_OP_BIND,
  IORING_OP_FIXED_FD_INSTALL,
  IORING_OP_FUTEX_WAIT,
  IORING_OP_LISTEN,
  IORING_OP_READV_FIXED,
  IORING_OP_SEND_ZC,
  IORING_OP_SENDMSG_ZC,
  IORING_RECVSEND_POLL_FIRST,
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_PEEK,
  MSG_TRUNC,
  MSG_WAITALL,
  RecvmsgOut,
  type Region,
  type Ring,
  RingMemory,
  SHUT_WR,
  SO_KEEPALIVE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_STREAM,
  SOCKET_URING_OP_GETSOCKOPT,
  SOCKET_URING_OP_SETSOCKOPT,
  SOCKET_URING_OP_SIOCINQ,
  SOL_SOCKET,
} from "../../src/ring/index.ts";
import { native, pointerTo } from "../../src/sys/library.ts";
import { decodeAddress } from "../../src/sys/sockaddr.ts";
import {
  fail,
  nextCompletion,
  nextCompletions,
  nextSqe,
  openRing,
  ringKinds,
  succeed,
  testWith,
} from "./ring-kinds.ts";
import { SocketPair } from "./socket-pair.ts";

const O_CLOEXEC = SOCK_CLOEXEC;
const IP_PKTINFO = 8;
const IPPROTO_IP = 0;

/** Returns the address to which a socket is bound. */
function nameOf(fd: number): { hostname: string; port: number } {
  const bytes = new Uint8Array(128);
  const length = native().rl_sockname(fd, 0, pointerTo(bytes), bytes.length);
  const { address, port } = decodeAddress(bytes.subarray(0, length));
  return { hostname: address, port };
}

describe.each(ringKinds)("on a %s ring", (_, flags) => {
  let ring: Ring;
  let memory: RingMemory;
  let opened: number[];

  beforeEach(() => {
    ring = openRing(16, flags);
    memory = new RingMemory();
    opened = [];
  });

  afterEach(() => {
    ring.close();
    memory.release();
    for (const fd of opened) closeSync(fd);
  });

  /** Makes the end of the test close the descriptor. */
  function open(fd: number): number {
    opened.push(fd);
    return fd;
  }

  function socket(type: number): number {
    return open(succeed(ring, (sqe) => sqe.prepSocket(AF_INET, type | SOCK_CLOEXEC)));
  }

  /**
   * Returns a socket on a loopback port that the kernel picks, and its address in mapped memory.
   */
  function bound(type: number): { fd: number; address: Region } {
    const fd = socket(type);
    const any = memory.sockaddr({ hostname: "127.0.0.1", port: 0 });
    native().rl_bind(fd, pointerTo(new Uint8Array(any.buffer)), any.bytes);
    if (type === SOCK_STREAM) native().rl_listen(fd, 8);
    return { fd, address: memory.sockaddr(nameOf(fd)) };
  }

  test("socket, connect, accept with the peer's address, shutdown", () => {
    const { fd: listener, address } = bound(SOCK_STREAM);
    const client = socket(SOCK_STREAM);
    const peer = memory.roomForSockaddr();
    nextSqe(ring).prepAccept(listener, O_CLOEXEC, peer.address, peer.lengthAddress).setData(1);
    nextSqe(ring).prepConnect(client, address.address, address.bytes).setData(2);
    ring.submit();
    const results = new Map(nextCompletions(ring, 2).map(({ data, res }) => [data, res]));
    expect(results.get(2n)).toBe(0);
    const server = open(results.get(1n)!);
    expect(peer.value()).toEqual({ address: "127.0.0.1", port: nameOf(client).port, family: "IPv4" });
    expect(succeed(ring, (sqe) => sqe.prepShutdown(client, SHUT_WR))).toBe(0);
    expect(succeed(ring, (sqe) => sqe.prepRecv(server, memory.allocate(1).address, 1))).toBe(0);
  });

  test("connecting to where nobody listens is ECONNREFUSED", () => {
    const { address, fd } = bound(SOCK_DGRAM);
    expect(nameOf(fd).port).toBeGreaterThan(0);
    const client = socket(SOCK_STREAM);
    expect(fail(ring, (sqe) => sqe.prepConnect(client, address.address, address.bytes))).toBe("ECONNREFUSED");
  });

  testWith(IORING_OP_BIND, IORING_OP_LISTEN)("bind and listen", () => {
    const listener = socket(SOCK_STREAM);
    const any = memory.sockaddr({ hostname: "127.0.0.1", port: 0 });
    expect(succeed(ring, (sqe) => sqe.prepBind(listener, any.address, any.bytes))).toBe(0);
    expect(nameOf(listener).port).toBeGreaterThan(0);
    expect(succeed(ring, (sqe) => sqe.prepListen(listener, 4))).toBe(0);
    const address = memory.sockaddr(nameOf(listener));
    const client = socket(SOCK_STREAM);
    expect(succeed(ring, (sqe) => sqe.prepConnect(client, address.address, address.bytes))).toBe(0);
    const taken = memory.sockaddr(nameOf(listener));
    const other = socket(SOCK_STREAM);
    expect(fail(ring, (sqe) => sqe.prepBind(other, taken.address, taken.bytes))).toBe("EADDRINUSE");
  });

  test("a multishot accept completes for each connection", () => {
    const { fd: listener, address } = bound(SOCK_STREAM);
    nextSqe(ring).prepMultishotAccept(listener, O_CLOEXEC).setData(1);
    for (let i = 0; i < 3; i++)
      nextSqe(ring)
        .prepConnect(open(native().rl_socket(AF_INET, SOCK_STREAM)), address.address, address.bytes)
        .skipSuccess()
        .setData(2);
    ring.submit();
    for (const { data, res, flags } of nextCompletions(ring, 3)) {
      expect([data, flags & IORING_CQE_F_MORE]).toEqual([1n, IORING_CQE_F_MORE]);
      expect(nameOf(open(res)).port).toBe(nameOf(listener).port);
    }
  });

  testWith(IORING_OP_FIXED_FD_INSTALL)("sockets and connections into the registered files", () => {
    const { fd: listener, address } = bound(SOCK_STREAM);
    ring.registerFilesSparse(8);
    ring.registerFileAllocRange(4, 4);
    expect(succeed(ring, (sqe) => sqe.prepSocketDirect(AF_INET, SOCK_STREAM, 0, 0))).toBe(0);
    expect(succeed(ring, (sqe) => sqe.prepSocketDirectAlloc(AF_INET, SOCK_STREAM))).toBe(4);
    nextSqe(ring).prepAcceptDirect(listener, 0, 1).setData(1);
    nextSqe(ring).prepConnect(0, address.address, address.bytes).fixedFile().setData(2);
    ring.submit();
    for (const { res } of nextCompletions(ring, 2)) expect(res).toBe(0);
    const accepted = open(succeed(ring, (sqe) => sqe.prepFixedFdInstall(1)));
    expect(nameOf(accepted).port).toBe(nameOf(listener).port);
    // The next connection goes into a slot that the kernel picks.
    nextSqe(ring).prepMultishotAcceptDirect(listener).setData(3);
    nextSqe(ring).prepConnect(4, address.address, address.bytes).fixedFile().skipSuccess().setData(4);
    ring.submit();
    const { data, res } = nextCompletion(ring);
    expect([data, res]).toEqual([3n, 5]);
  });

  test("send and recv take flags", () => {
    using pair = new SocketPair();
    const text = memory.copy("peeked at");
    const into = memory.allocate(20);
    expect(succeed(ring, (sqe) => sqe.prepSend(pair.near, text.address, 9))).toBe(9);
    expect(succeed(ring, (sqe) => sqe.prepRecv(pair.far, into.address, 4, MSG_PEEK))).toBe(4);
    expect(succeed(ring, (sqe) => sqe.prepRecv(pair.far, into.address, 9, MSG_WAITALL))).toBe(9);
    expect(into.buffer.toString("latin1", 0, 9)).toBe("peeked at");
    expect(fail(ring, (sqe) => sqe.prepRecv(pair.far, into.address, 9, MSG_DONTWAIT))).toBe("EAGAIN");
  });

  test("a multishot receive takes provided buffers until there are none, and goes on when there are", () => {
    using pair = new SocketPair();
    using buffers = ring.setupBufRing(2, 5);
    const pool = memory.allocate(2 * 8);
    buffers
      .add(pool.address, 8, 0)
      .add(pool.address + 8, 8, 1, 1)
      .advance(2);
    const text = memory.copy("0123456789abcdefXYZ");
    nextSqe(ring).prepRecvMultishot(pair.far, 5).setData(1);
    nextSqe(ring).prepSend(pair.near, text.address, 19).skipSuccess().setData(2);
    ring.submit();
    const completions = nextCompletions(ring, 3).map(({ res, flags }) => [
      res,
      flags & IORING_CQE_F_MORE,
      flags >>> 16,
    ]);
    expect(completions.slice(0, 2)).toEqual([
      [8, IORING_CQE_F_MORE, 0],
      [8, IORING_CQE_F_MORE, 1],
    ]);
    expect([errnoName(-completions[2]![0]!), completions[2]![1]]).toEqual(["ENOBUFS", 0]);
    expect(pool.buffer.toString()).toBe("0123456789abcdef");
    buffers.add(pool.address, 8, 0).advance(1);
    nextSqe(ring).prepRecvMultishot(pair.far, 5);
    ring.submit();
    expect(nextCompletion(ring).res).toBe(3);
    expect(pool.buffer.toString("latin1", 0, 3)).toBe("XYZ");
  });

  test("sendmsg and recvmsg carry several pieces, and a datagram's address", () => {
    const receiver = bound(SOCK_DGRAM);
    const sender = bound(SOCK_DGRAM);
    const outgoing = memory.msghdr({
      name: receiver.address,
      iovec: memory.iovec([memory.copy("data"), memory.copy("gram")]),
    });
    const peer = memory.roomForSockaddr();
    const room = memory.allocate(100);
    const incoming = memory.msghdr({ name: peer, iovec: memory.iovec([room]) });
    expect(succeed(ring, (sqe) => sqe.prepSendmsg(sender.fd, outgoing.address))).toBe(8);
    expect(succeed(ring, (sqe) => sqe.prepRecvmsg(receiver.fd, incoming.address))).toBe(8);
    expect(room.buffer.toString("latin1", 0, 8)).toBe("datagram");
    expect(incoming.nameBytes).toBe(16);
    expect(peer.value(incoming.nameBytes)).toMatchObject({ address: "127.0.0.1", port: nameOf(sender.fd).port });
    expect(incoming.flags & MSG_TRUNC).toBe(0);
  });

  test("recvmsg says that a datagram did not fit, nor what came with it", () => {
    const receiver = bound(SOCK_DGRAM);
    native().rl_setsockopt(receiver.fd, IPPROTO_IP, IP_PKTINFO, 1);
    const sender = bound(SOCK_DGRAM);
    const message = memory.msghdr({ iovec: memory.iovec([memory.allocate(3)]), control: memory.allocate(1) });
    const { address, bytes } = memory.copy("too long");
    const to = receiver.address;
    expect(succeed(ring, (sqe) => sqe.prepSendto(sender.fd, address, bytes, 0, to.address, to.bytes))).toBe(8);
    expect(succeed(ring, (sqe) => sqe.prepRecvmsg(receiver.fd, message.address))).toBe(3);
    expect(message.flags & MSG_TRUNC).toBe(MSG_TRUNC);
    expect(message.flags & MSG_CTRUNC).toBe(MSG_CTRUNC);
  });

  test("a multishot recvmsg puts address, control data and payload of each datagram into a buffer", () => {
    const receiver = bound(SOCK_DGRAM);
    native().rl_setsockopt(receiver.fd, IPPROTO_IP, IP_PKTINFO, 1);
    const sender = bound(SOCK_DGRAM);
    using buffers = ring.setupBufRing(2, 6);
    const pool = memory.allocate(2 * 256);
    buffers
      .add(pool.address, 256, 0)
      .add(pool.address + 256, 256, 1, 1)
      .advance(2);
    const message = memory.msghdr({
      name: memory.roomForSockaddr(),
      iovec: memory.iovec([]),
      control: memory.allocate(32),
    });
    nextSqe(ring).prepRecvmsgMultishot(receiver.fd, message.address, 6).setData(1);
    ring.submit();
    for (const text of ["one", "three"]) {
      const { address, bytes } = memory.copy(text);
      const to = receiver.address;
      nextSqe(ring).prepSendto(sender.fd, address, bytes, 0, to.address, to.bytes).skipSuccess();
      ring.submit();
      const cqe = ring.waitCqe(5_000_000)!;
      expect(cqe.more).toBe(true);
      const from = cqe.bufferId * 256;
      const out = new RecvmsgOut(pool.buffer.subarray(from, from + cqe.res), message);
      expect(Buffer.from(out.payload).toString()).toBe(text);
      expect(out.sender).toMatchObject({ address: "127.0.0.1", port: nameOf(sender.fd).port });
      // struct cmsghdr: u64 length, i32 level, i32 type. Then struct in_pktinfo, 12 bytes.
      const control = Buffer.from(out.control);
      expect([control.readInt32LE(8), control.readInt32LE(12)]).toEqual([IPPROTO_IP, IP_PKTINFO]);
      expect(out.flags & MSG_TRUNC).toBe(0);
      expect(() => new RecvmsgOut(pool.buffer.subarray(from, from + 10), message)).toThrow(RangeError);
      ring.cqeSeen();
    }
  });

  testWith(IORING_OP_SEND_ZC)("sendZc completes twice, the second time when its memory is free", () => {
    using pair = new SocketPair();
    const text = memory.copy("not copied");
    const into = memory.allocate(20);
    ring.registerBuffers([text]);
    const send = [
      () => nextSqe(ring).prepSendZc(pair.near, text.address, 10, 0, IORING_RECVSEND_POLL_FIRST),
      () => nextSqe(ring).prepSendZcFixed(pair.near, text.address, 10, 0, 0, 0),
    ];
    for (const prepare of send) {
      prepare();
      nextSqe(ring).prepRecv(pair.far, into.address, 10, MSG_WAITALL).setData(1);
      ring.submit();
      const completions = nextCompletions(ring, 3);
      const [sent, notified] = completions.filter(({ data }) => data === 0n);
      expect([sent!.res, sent!.flags & IORING_CQE_F_MORE]).toEqual([10, IORING_CQE_F_MORE]);
      expect(notified!.flags & IORING_CQE_F_NOTIF).toBe(IORING_CQE_F_NOTIF);
      expect(into.buffer.toString("latin1", 0, 10)).toBe("not copied");
    }
  });

  /**
   * Makes a group of `count` provided buffers of `bytes` bytes. Fills the first ones with `texts`.
   */
  function bufferGroup(bgid: number, count: number, bytes: number, texts: string[] = []): [BufRing, Region] {
    const buffers = ring.setupBufRing(count, bgid);
    const pool = memory.allocate(count * bytes);
    const used = texts.length || count;
    for (let bid = 0; bid < used; bid++) {
      const size = texts[bid] === undefined ? bytes : pool.buffer.write(texts[bid]!, bid * bytes);
      buffers.add(pool.address + bid * bytes, size, bid, bid);
    }
    buffers.advance(used);
    return [buffers, pool];
  }

  // Both kinds of bundles came with Linux 6.10, BIND came with 6.11.
  testWith(IORING_OP_BIND)("bundles send and receive several provided buffers at once", () => {
    using pair = new SocketPair();
    bufferGroup(1, 4, 8, ["one", "two", "three"]);
    expect(succeed(ring, (sqe) => sqe.prepSendBundle(pair.near, 0, 1))).toBe(11);
    const [, pool] = bufferGroup(2, 4, 4);
    nextSqe(ring).prepRecvBundle(pair.far, 0, 2);
    ring.submit();
    const { res, flags } = nextCompletion(ring);
    expect([res, flags >>> 16]).toEqual([11, 0]);
    expect(pool.buffer.toString("latin1", 0, 11)).toBe("onetwothree");
  });

  testWith(IORING_OP_BIND)("a multishot bundle goes on, and says where its first buffer is", () => {
    using pair = new SocketPair();
    const [, pool] = bufferGroup(3, 8, 4);
    nextSqe(ring).prepRecvMultishotBundle(pair.far, 3);
    ring.submit();
    for (const [text, bid] of [
      ["1234567", 0],
      ["abcd", 2],
    ] as const) {
      nextSqe(ring).prepSend(pair.near, memory.copy(text).address, text.length).skipSuccess();
      ring.submit();
      const { res, flags } = nextCompletion(ring);
      expect([res, flags >>> 16, flags & IORING_CQE_F_MORE]).toEqual([text.length, bid, IORING_CQE_F_MORE]);
      expect(pool.buffer.toString("latin1", bid * 4, bid * 4 + text.length)).toBe(text);
    }
  });

  testWith(IORING_OP_READV_FIXED)("sendmsgZcFixed sends pieces of a registered buffer", () => {
    using pair = new SocketPair();
    const text = memory.copy("fixed pieces");
    ring.registerBuffers([text]);
    const pieces = memory.iovec([
      { address: text.address, bytes: 5 },
      { address: text.address + 5, bytes: 7 },
    ]);
    const message = memory.msghdr({ iovec: pieces });
    const into = memory.allocate(12);
    nextSqe(ring).prepSendmsgZcFixed(pair.near, message.address, 0, 0);
    nextSqe(ring).prepRecv(pair.far, into.address, 12, MSG_WAITALL).setData(1);
    ring.submit();
    expect(nextCompletions(ring, 3).filter(({ data }) => data === 0n)[0]!.res).toBe(12);
    expect(into.buffer.toString()).toBe("fixed pieces");
  });

  testWith(IORING_OP_SENDMSG_ZC)("sendmsgZc completes twice as well; sendZc takes an address", () => {
    const receiver = bound(SOCK_DGRAM);
    const sender = bound(SOCK_DGRAM);
    const text = memory.copy("zero copy");
    const { address, bytes } = receiver.address;
    const message = memory.msghdr({ name: receiver.address, iovec: memory.iovec([text]) });
    const into = memory.allocate(20);
    const send = [
      () => nextSqe(ring).prepSendmsgZc(sender.fd, message.address),
      () => nextSqe(ring).prepSendZc(sender.fd, text.address, 9).setSendAddress(address, bytes),
    ];
    for (const prepare of send) {
      prepare().setData(1);
      nextSqe(ring).prepRecv(receiver.fd, into.address, 20).setData(2);
      ring.submit();
      const completions = nextCompletions(ring, 3);
      expect(completions.filter(({ data }) => data === 1n).map(({ res }) => res)).toContain(9);
      expect(completions.find(({ data }) => data === 2n)!.res).toBe(9);
    }
  });

  // These commands came with the futexes, in Linux 6.7.
  testWith(IORING_OP_FUTEX_WAIT)("a socket's own commands: bytes that wait, and options", () => {
    using pair = new SocketPair();
    const option = memory.int32(1);
    const set = SOCKET_URING_OP_SETSOCKOPT;
    expect(succeed(ring, (sqe) => sqe.prepCmdSock(set, pair.near, SOL_SOCKET, SO_KEEPALIVE, option.address, 4))).toBe(
      0,
    );
    expect(native().rl_getsockopt(pair.near, SOL_SOCKET, SO_KEEPALIVE)).toBe(1);
    option.words[0] = 0;
    const get = SOCKET_URING_OP_GETSOCKOPT;
    expect(succeed(ring, (sqe) => sqe.prepCmdSock(get, pair.near, SOL_SOCKET, SO_KEEPALIVE, option.address, 4))).toBe(
      4,
    );
    expect(option.words[0]).toBe(1);
    succeed(ring, (sqe) => sqe.prepSend(pair.far, memory.copy("12345").address, 5));
    expect(succeed(ring, (sqe) => sqe.prepCmdSock(SOCKET_URING_OP_SIOCINQ, pair.near))).toBe(5);
  });
});
