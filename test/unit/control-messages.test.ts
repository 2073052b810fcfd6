/** Ancillary data: in the kernel, and as bytes. */
import { describe, expect, test } from "bun:test";
import { closeSync, readSync, writeSync } from "node:fs";
import {
  AF_INET,
  AF_UNIX,
  type ControlMessage,
  controlSpace,
  credentialsOf,
  decodeControl,
  encodeControl,
  groBytesOf,
  hardwareTimestampOf,
  IPPROTO_UDP,
  MSG_CMSG_CLOEXEC,
  MSG_CTRUNC,
  pipe2,
  RecvmsgOut,
  rightsOf,
  Ring,
  RingMemory,
  scmCredentials,
  scmRights,
  SO_PASSCRED,
  SO_TIMESTAMP,
  SO_TIMESTAMPING,
  SO_TIMESTAMPNS,
  SOCK_DGRAM,
  SOCK_STREAM,
  socketpair,
  SOF_TIMESTAMPING_RX_SOFTWARE,
  SOF_TIMESTAMPING_SOFTWARE,
  SOL_SOCKET,
  timestampOf,
  UDP_GRO,
  udpSegment,
} from "../../src/ring/index.ts";
import { check } from "../../src/sys/errno.ts";
import { native, pointerTo } from "../../src/sys/library.ts";
import { nextCompletion, succeed } from "./ring-kinds.ts";

interface Ends {
  ring: Ring;
  memory: RingMemory;
  near: number;
  far: number;
}

/** Calls `use` with two connected sockets, and functions that send and receive on them. */
function withPair(make: () => [number, number], use: (ends: Ends) => void): void {
  using ring = Ring.queueInit(4);
  using memory = new RingMemory();
  const [near, far] = make();
  try {
    use({ ring, memory, near, far });
  } finally {
    for (const fd of [near, far]) closeSync(fd);
  }
}

const datagrams = (): [number, number] => socketpair(AF_UNIX, SOCK_DGRAM);

/** Returns two UDP sockets on the loopback device. The first is connected to the second. */
function udp(): [number, number] {
  const [near, far] = [0, 0].map(() => check(native().rl_socket(AF_INET, SOCK_DGRAM), "socket")) as [number, number];
  const any = new Uint8Array([AF_INET, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  check(native().rl_bind(far, pointerTo(any), 16), "bind");
  check(native().rl_sockname(far, 0, pointerTo(any), 16), "getsockname");
  check(native().rl_connect(near, pointerTo(any), 16), "connect");
  return [near, far];
}

function send({ ring, memory, near }: Ends, text: string, messages: ControlMessage[] = []): void {
  const iovec = memory.iovec([memory.copy(text)]);
  const message = memory.msghdr(messages.length === 0 ? { iovec } : { iovec, control: memory.control(messages) });
  expect(succeed(ring, (sqe) => sqe.prepSendmsg(near, message.address))).toBe(text.length);
}

function receive({ ring, memory, far }: Ends, room = 256, flags = 0): { messages: ControlMessage[]; flags: number } {
  const message = memory.msghdr({ iovec: memory.iovec([memory.allocate(8192)]), control: memory.allocate(room) });
  succeed(ring, (sqe) => sqe.prepRecvmsg(far, message.address, flags));
  return { messages: message.controlMessages, flags: message.flags };
}

describe("with the kernel:", () => {
  test("descriptors come as others of the same files, close-on-exec where asked for", () => {
    withPair(
      () => socketpair(AF_UNIX, SOCK_STREAM),
      (ends) => {
        const [readFd, writeFd] = pipe2();
        send(ends, "x", [scmRights([readFd, writeFd])]);
        for (const fd of [readFd, writeFd]) closeSync(fd);
        const { messages, flags } = receive(ends, controlSpace(8), MSG_CMSG_CLOEXEC);
        expect(flags & MSG_CTRUNC).toBe(0);
        const [from, to] = rightsOf(messages) as [number, number];
        writeSync(to, "through");
        const into = Buffer.alloc(7);
        readSync(from, into);
        expect(into.toString()).toBe("through");
        for (const fd of [from, to]) closeSync(fd);
      },
    );
  });

  test("credentials", () => {
    withPair(datagrams, (ends) => {
      check(native().rl_setsockopt(ends.far, SOL_SOCKET, SO_PASSCRED, 1), "setsockopt");
      const own = { pid: process.pid, uid: process.getuid!(), gid: process.getgid!() };
      send(ends, "x", [scmCredentials(own)]);
      expect(credentialsOf(receive(ends).messages)).toEqual(own);
    });
  });

  test.each([
    ["SO_TIMESTAMP", SO_TIMESTAMP, 1],
    ["SO_TIMESTAMPNS", SO_TIMESTAMPNS, 1],
    ["SO_TIMESTAMPING", SO_TIMESTAMPING, SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE],
  ])("the time of %s is that of the receive", (_, option, value) => {
    withPair(udp, (ends) => {
      check(native().rl_setsockopt(ends.far, SOL_SOCKET, option, value), "setsockopt");
      const before = BigInt(Date.now() - 1) * 1_000_000n;
      let messages: ControlMessage[] = [];
      let time: bigint | undefined;
      // The kernel starts to take timestamps only a little after the option is set.
      for (; time === undefined; time = timestampOf(messages)) {
        send(ends, "x");
        ({ messages } = receive(ends));
        ends.memory.reset();
      }
      expect(time >= before && time <= BigInt(Date.now() + 1) * 1_000_000n).toBe(true);
      expect(hardwareTimestampOf(messages)).toBeUndefined();
    });
  });

  test("one message is cut into datagrams, and they come as one with their size", () => {
    withPair(udp, (ends) => {
      check(native().rl_setsockopt(ends.far, IPPROTO_UDP, UDP_GRO, 1), "setsockopt");
      send(ends, "a".repeat(1000), [udpSegment(300)]);
      expect(groBytesOf(receive(ends).messages)).toBe(300);
    });
  });

  test("room that is too small is told by MSG_CTRUNC", () => {
    withPair(datagrams, (ends) => {
      send(ends, "x", [scmRights([0, 1, 2])]);
      const { messages, flags } = receive(ends, controlSpace(4));
      expect(flags & MSG_CTRUNC).toBe(MSG_CTRUNC);
      for (const fd of rightsOf(messages)) closeSync(fd);
    });
  });

  test("a multishot receive has them in its buffers", () => {
    withPair(datagrams, (ends) => {
      const { ring, memory, near, far } = ends;
      using buffers = ring.setupBufRing(1, 1);
      const pool = memory.allocate(256);
      buffers.add(pool.address, 256, 0).advance(1);
      const message = memory.msghdr({ iovec: memory.iovec([]), control: memory.allocate(controlSpace(4)) });
      ring.getSqe()!.prepRecvmsgMultishot(far, message.address, 1).setData(1);
      const sent = memory.msghdr({
        iovec: memory.iovec([memory.copy("x")]),
        control: memory.control([scmRights([0])]),
      });
      ring.getSqe()!.prepSendmsg(near, sent.address).skipSuccess();
      ring.submit();
      const { res } = nextCompletion(ring);
      const fds = rightsOf(new RecvmsgOut(pool.buffer.subarray(0, res), message).controlMessages);
      expect(fds).toHaveLength(1);
      closeSync(fds[0]!);
    });
  });

  test("a message without any has none", () => {
    withPair(datagrams, (ends) => {
      send(ends, "x");
      const { messages } = receive(ends);
      expect([messages, rightsOf(messages), credentialsOf(messages)]).toEqual([[], [], undefined]);
      expect([timestampOf(messages), groBytesOf(messages)]).toEqual([undefined, undefined]);
    });
  });
});

describe("as bytes:", () => {
  test("what is encoded is decoded again, each at a multiple of eight bytes", () => {
    const messages = [scmRights([3, 4, 5]), udpSegment(1200), { level: 0, type: 1, data: new Uint8Array(0) }];
    const bytes = encodeControl(messages);
    expect(bytes.length).toBe(controlSpace(12, 2, 0));
    expect(bytes.length).toBe(32 + 24 + 16);
    expect(decodeControl(bytes)).toEqual(messages);
  });

  test("a header that points beyond its bytes, or before them, is refused", () => {
    const bytes = encodeControl([scmRights([1])]);
    for (const length of [bytes.length + 1, 15, 0, 2 ** 31]) {
      bytes.writeUInt32LE(length, 0);
      expect(() => decodeControl(bytes)).toThrow(RangeError);
    }
    bytes.writeUInt32LE(20, 0);
    bytes.writeUInt32LE(1, 4);
    expect(() => decodeControl(bytes)).toThrow("control must be messages within their 24 bytes");
    expect(decodeControl(new Uint8Array(15))).toEqual([]);
  });

  test("data that is too short for its kind is none", () => {
    const short = [{ level: SOL_SOCKET, type: SO_TIMESTAMPNS, data: new Uint8Array(8) }];
    expect(timestampOf(short)).toBeUndefined();
  });

  test("arguments that have no meaning are refused by name", () => {
    expect(() => scmRights([])).toThrow("fds.length must be from 1 to 253, not 0");
    expect(() => scmRights([-1])).toThrow("fds[0] must be from 0 to 2147483647, not -1");
    expect(() => scmCredentials({ pid: 1, uid: 0.5, gid: 0 })).toThrow("uid must be an integer");
    expect(() => udpSegment(0)).toThrow("bytes must be from 1 to 65535, not 0");
    expect(() => controlSpace(-1)).toThrow("dataBytes[0] must be from 0 to 4294967295, not -1");
    expect(() => encodeControl([{ level: 1, type: -1, data: new Uint8Array(0) }])).toThrow("messages[0].type must be");
    expect(() => encodeControl([{ level: 1, type: 1, data: "x" as never }])).toThrow(
      "messages[0].data must be a Uint8Array",
    );
  });
});
