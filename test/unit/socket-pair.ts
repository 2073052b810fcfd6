/**
 * Two connected TCP sockets that block. io_uring waits on blocking sockets. It answers EAGAIN for
 * the non-blocking ones that `node:net` and socketpair(2) in ffi/ringloop.c make.
 */
import { AF_INET, Mapping, Ring, SOCK_CLOEXEC, SOCK_STREAM } from "../../src/ring/index.ts";
import { check } from "../../src/sys/errno.ts";
import { native, pointerTo } from "../../src/sys/library.ts";
import { nextCompletions } from "./ring-kinds.ts";

export class SocketPair {
  readonly near: number;
  readonly far: number;

  constructor() {
    const listener = check(native().rl_socket(AF_INET, SOCK_STREAM), "socket");
    this.near = check(native().rl_socket(AF_INET, SOCK_STREAM), "socket");
    const address = new Mapping(16);
    try {
      check(native().rl_listen(listener, 1), "listen"); // The socket is not bound, so the kernel picks a port.
      const bytes = new Uint8Array(16);
      check(native().rl_sockname(listener, 0, pointerTo(bytes), bytes.length), "getsockname");
      new Uint8Array(address.buffer).set(bytes);
      using ring = Ring.queueInit(2);
      ring.getSqe()!.prepConnect(this.near, address.address, bytes.length).setUserData(0, 0);
      ring.getSqe()!.prepAccept(listener, SOCK_CLOEXEC).setUserData(1, 0);
      ring.submit();
      const completions = nextCompletions(ring, 2);
      for (const { res } of completions) check(res, "connect");
      this.far = completions.find(({ data }) => data === 1n)!.res;
    } finally {
      native().rl_close(listener);
      address.release();
    }
  }

  [Symbol.dispose](): void {
    native().rl_close(this.near);
    native().rl_close(this.far);
  }
}
