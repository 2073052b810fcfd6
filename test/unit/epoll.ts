/** An epoll instance that does not belong to Bun. Another process sends it (epoll-sender.c). */
import { closeSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { AF_UNIX, MSG_CMSG_CLOEXEC, Ring, RingMemory, SOCK_CLOEXEC, SOCK_STREAM } from "../../src/ring/index.ts";
import { check } from "../../src/sys/errno.ts";
import { native, pointerTo } from "../../src/sys/library.ts";
import { withCompiledC } from "./compiled-c.ts";
import { succeed } from "./ring-kinds.ts";

export class Epoll {
  readonly fd: number;

  constructor() {
    using ring = Ring.queueInit(2);
    using memory = new RingMemory();
    const name = `ringloop-epoll-${process.pid}`;
    const address = memory.sockaddr({ unix: `\0${name}` });
    const listener = check(native().rl_socket(AF_UNIX, SOCK_STREAM), "socket");
    check(native().rl_bind(listener, pointerTo(address.buffer), address.bytes), "bind");
    check(native().rl_listen(listener, 1), "listen");
    const control = memory.allocate(24);
    const message = memory.msghdr({ iovec: memory.iovec([memory.allocate(1)]), control });
    const connection = withCompiledC(join(import.meta.dir, "epoll-sender.c"), (program) => {
      Bun.spawn([program, name]);
      return succeed(ring, (sqe) => sqe.prepAccept(listener, SOCK_CLOEXEC));
    });
    succeed(ring, (sqe) => sqe.prepRecvmsg(connection, message.address, MSG_CMSG_CLOEXEC));
    // struct cmsghdr: u64 length, i32 level, i32 type. The descriptor follows.
    this.fd = control.buffer.readInt32LE(16);
    closeSync(connection);
    closeSync(listener);
  }

  /** Returns the descriptors that the epoll instance watches. */
  watched(): number[] {
    const info = readFileSync(`/proc/self/fdinfo/${this.fd}`, "latin1");
    return [...info.matchAll(/^tfd:\s+(\d+)/gm)].map(([, fd]) => Number(fd));
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}
