/**
 * Operations that wait, cancel and notify: polls, timeouts, cancellation, futexes, child processes,
 * epoll, other rings, provided buffers.
 *
 * The two halves of its user data (`setUserData`) identify another operation. A BigInt in the place
 * of the low half gives all 64 bits; the high half is 0 then.
 */
import {
  IORING_ASYNC_CANCEL_ANY,
  IORING_ASYNC_CANCEL_FD,
  IORING_FILE_INDEX_ALLOC,
  IORING_MSG_RING_FLAGS_PASS,
  IORING_MSG_SEND_FD,
  IORING_OP_ASYNC_CANCEL,
  IORING_OP_EPOLL_CTL,
  IORING_OP_EPOLL_WAIT,
  IORING_OP_FILES_UPDATE,
  IORING_OP_FUTEX_WAIT,
  IORING_OP_FUTEX_WAITV,
  IORING_OP_FUTEX_WAKE,
  IORING_OP_LINK_TIMEOUT,
  IORING_OP_MSG_RING,
  IORING_OP_NOP,
  IORING_OP_PIPE,
  IORING_OP_POLL_ADD,
  IORING_OP_POLL_REMOVE,
  IORING_OP_PROVIDE_BUFFERS,
  IORING_OP_REMOVE_BUFFERS,
  IORING_OP_TIMEOUT,
  IORING_OP_TIMEOUT_REMOVE,
  IORING_OP_WAITID,
  IORING_POLL_ADD_MULTI,
  IORING_TIMEOUT_MULTISHOT,
  IORING_TIMEOUT_UPDATE,
} from "../sys/abi.ts";
import { SocketSqe } from "./prep-sockets.ts";
import { U16_MAX, U32_MAX } from "../sys/check.ts";
import { require32, requireBigInt, requireField, type Wide } from "./sqe-checks.ts";

export class EventSqe extends SocketSqe {
  /** io_uring_prep_nop(3). Completes with 0. */
  prepNop(): this {
    return this.fill(IORING_OP_NOP, -1, 0, 0, 0);
  }

  /**
   * io_uring_prep_poll_add(3). Completes once, when one of `events` (POLLIN and so on) is present.
   * `multishot`: completes each time that an event occurs. `res` is the events.
   */
  prepPollAdd(fd: number, events: number, multishot = false): this {
    return this.fill(IORING_OP_POLL_ADD, fd, 0, multishot ? IORING_POLL_ADD_MULTI : 0, 0, events);
  }

  /** io_uring_prep_poll_multishot(3). */
  prepPollMultishot(fd: number, events: number): this {
    return this.prepPollAdd(fd, events, true);
  }

  /**
   * io_uring_prep_poll_update(3). Changes the poll with the old user data. `flags`:
   * IORING_POLL_UPDATE_EVENTS sets new events, IORING_POLL_UPDATE_USER_DATA sets new user data.
   * IORING_POLL_ADD_MULTI keeps a multishot poll multishot.
   */
  prepPollUpdate(oldLow: Wide, oldHigh: number, newLow: Wide, newHigh: number, events: number, flags: number): this {
    return this.fill(IORING_OP_POLL_REMOVE, -1, 0, flags, 0, events)
      .putTarget(oldLow, oldHigh, "oldLow", "oldHigh")
      .putOffset(newLow, newHigh, "newLow", "newHigh");
  }

  /** io_uring_prep_poll_remove(3). Removes the poll with this user data. */
  prepPollRemove(low: Wide, high = 0): this {
    return this.fill(IORING_OP_POLL_REMOVE, -1, 0, 0, 0).putTarget(low, high);
  }

  /**
   * io_uring_prep_timeout(3). `address` points at a struct __kernel_timespec
   * (`RingMemory.timespec`). Completes with ETIME at its time, or with 0 after `completions` other
   * completions (0: no count).
   *
   * `flags`: IORING_TIMEOUT_ABS for a time of the clock instead of a time from now;
   * IORING_TIMEOUT_BOOTTIME or _REALTIME for another clock than the monotonic one;
   * IORING_TIMEOUT_ETIME_SUCCESS.
   */
  prepTimeout(address: Wide, completions = 0, flags = 0): this {
    requireField(this, "completions", completions, 0, U32_MAX);
    return this.fill(IORING_OP_TIMEOUT, -1, address, 1, completions, flags);
  }

  /**
   * A timeout that completes `times` times, or until it is removed (0). Linux 6.4;
   * IORING_TIMEOUT_MULTISHOT is newer than liburing 2.3.
   */
  prepTimeoutMultishot(address: Wide, times = 0, flags = 0): this {
    requireField(this, "times", times, 0, U32_MAX);
    return this.prepTimeout(address, times, require32(this, "flags", flags) | IORING_TIMEOUT_MULTISHOT);
  }

  /**
   * io_uring_prep_timeout_update(3). `flags`: IORING_LINK_TIMEOUT_UPDATE for a link timeout,
   * IORING_TIMEOUT_ABS.
   */
  prepTimeoutUpdate(address: Wide, low: Wide, high: number, flags = 0): this {
    return this.fill(
      IORING_OP_TIMEOUT_REMOVE,
      -1,
      0,
      0,
      address,
      require32(this, "flags", flags) | IORING_TIMEOUT_UPDATE,
    ).putTarget(low, high);
  }

  /** io_uring_prep_timeout_remove(3). */
  prepTimeoutRemove(low: Wide, high: number, flags = 0): this {
    return this.fill(IORING_OP_TIMEOUT_REMOVE, -1, 0, 0, 0, flags).putTarget(low, high);
  }

  /**
   * io_uring_prep_link_timeout(3). Limits the time of the entry before it, which has IOSQE_IO_LINK.
   * It limits that entry alone, not the whole chain.
   */
  prepLinkTimeout(address: Wide, flags = 0): this {
    return this.fill(IORING_OP_LINK_TIMEOUT, -1, address, 1, 0, flags);
  }

  /**
   * io_uring_prep_cancel(3). Cancels by user data. `flags`: IORING_ASYNC_CANCEL_*. `res` is 0; with
   * _ALL, the number of cancelled operations. Errors: ENOENT, EALREADY.
   */
  prepCancel(low: Wide, high: number, flags = 0): this {
    return this.fill(IORING_OP_ASYNC_CANCEL, -1, 0, 0, 0, flags).putTarget(low, high);
  }

  /** io_uring_prep_cancel64(3). */
  prepCancel64(data: bigint, flags = 0): this {
    requireBigInt(this, "data", data);
    return this.fill(IORING_OP_ASYNC_CANCEL, -1, 0, 0, 0, flags).putTarget(data, 0, "data");
  }

  /**
   * io_uring_prep_cancel_fd(3). Cancels an operation in flight on a descriptor; with
   * IORING_ASYNC_CANCEL_ALL, all of them. Linux 5.19.
   */
  prepCancelFd(fd: number, flags = 0): this {
    return this.fill(IORING_OP_ASYNC_CANCEL, fd, 0, 0, 0, require32(this, "flags", flags) | IORING_ASYNC_CANCEL_FD);
  }

  /**
   * Cancels everything in flight on the ring (IORING_ASYNC_CANCEL_ANY). `res` is the number of
   * operations. Linux 5.19.
   */
  prepCancelAny(flags = 0): this {
    return this.prepCancel(0, 0, require32(this, "flags", flags) | IORING_ASYNC_CANCEL_ANY);
  }

  /**
   * io_uring_prep_epoll_ctl. `operation`: EPOLL_CTL_*. `event` points at a struct epoll_event
   * (`RingMemory.epollEvent`), or is 0.
   */
  prepEpollCtl(epollFd: number, fd: number, operation: number, event: Wide = 0): this {
    return this.fill(IORING_OP_EPOLL_CTL, epollFd, event, operation, require32(this, "fd", fd));
  }

  /**
   * epoll_wait(2) for up to `count` events. Linux 6.15; io_uring_prep_epoll_wait is newer than
   * liburing 2.3.
   */
  prepEpollWait(epollFd: number, events: Wide, count: number, flags = 0): this {
    return this.fill(IORING_OP_EPOLL_WAIT, epollFd, events, count, 0, flags);
  }

  /**
   * io_uring_prep_msg_ring(3). Puts a completion into the ring with descriptor `fd`. Its `res` is
   * `length`, its user data has these halves. Linux 5.18. `flags`: IORING_MSG_RING_FLAGS_PASS.
   */
  prepMsgRing(fd: number, length: number, low: Wide, high: number, flags = 0): this {
    return this.fill(IORING_OP_MSG_RING, fd, 0, length, 0, flags).putOffset(low, high);
  }

  /**
   * Sends the same message, with flags for the completion. Linux 6.3;
   * io_uring_prep_msg_ring_cqe_flags is newer than liburing 2.3.
   */
  prepMsgRingCqeFlags(fd: number, length: number, low: Wide, high: number, flags: number, cqeFlags: number): this {
    return this.prepMsgRing(
      fd,
      length,
      low,
      high,
      require32(this, "flags", flags) | IORING_MSG_RING_FLAGS_PASS,
    ).putWord11("cqeFlags", cqeFlags);
  }

  /**
   * Puts the registered file `sourceIndex` into the slot `targetIndex` of another ring. `flags`:
   * with IORING_MSG_RING_CQE_SKIP, that ring gets no completion. Linux 6.0;
   * io_uring_prep_msg_ring_fd is newer than liburing 2.3.
   */
  prepMsgRingFd(fd: number, sourceIndex: number, targetIndex: number, low: Wide, high: number, flags = 0): this {
    return this.fill(IORING_OP_MSG_RING, fd, IORING_MSG_SEND_FD, 0, 0, flags)
      .putOffset(low, high)
      .putAddress3("sourceIndex", require32(this, "sourceIndex", sourceIndex))
      .putTargetFile(targetIndex, "targetIndex");
  }

  /** Puts the file into a free slot. `res` of the completion in the other ring is that slot. */
  prepMsgRingFdAlloc(fd: number, sourceIndex: number, low: Wide, high: number, flags = 0): this {
    return this.prepMsgRingFd(fd, sourceIndex, IORING_FILE_INDEX_ALLOC, low, high, flags);
  }

  /**
   * futex(2). Waits while the 32 bits at `address` equal `value`; EAGAIN if they differ. `mask` is
   * ANDed with the mask of a wake; FUTEX_BITSET_MATCH_ANY matches any. `futexFlags`:
   * FUTEX2_SIZE_U32, FUTEX2_PRIVATE. Linux 6.7; io_uring_prep_futex_wait is newer than liburing
   * 2.3.
   */
  prepFutexWait(address: Wide, value: Wide, mask: Wide, futexFlags: number, flags = 0): this {
    return this.fill(IORING_OP_FUTEX_WAIT, futexFlags, address, 0, value, flags).putAddress3("mask", mask);
  }

  /**
   * Wakes up to `count` waiters; `res` is their number. Linux 6.7; io_uring_prep_futex_wake is
   * newer than liburing 2.3.
   */
  prepFutexWake(address: Wide, count: number, mask: Wide, futexFlags: number, flags = 0): this {
    requireField(this, "count", count, 0, U32_MAX);
    return this.fill(IORING_OP_FUTEX_WAKE, futexFlags, address, 0, count, flags).putAddress3("mask", mask);
  }

  /**
   * Waits for one of several futexes; `res` is its index. `waiters` points at `count` struct
   * futex_waitv (`RingMemory.futexWaitv`). Linux 6.7; io_uring_prep_futex_waitv is newer than
   * liburing 2.3.
   */
  prepFutexWaitv(waiters: Wide, count: number, flags = 0): this {
    return this.fill(IORING_OP_FUTEX_WAITV, 0, waiters, count, 0, flags);
  }

  /**
   * waitid(2). Waits for a child process. `idType`: P_ALL, P_PID, P_PGID, P_PIDFD. `options`:
   * WEXITED, WNOWAIT and so on. `info` points at 128 bytes (`RingMemory.siginfo`), or is 0. Linux
   * 6.7; io_uring_prep_waitid is newer than liburing 2.3.
   */
  prepWaitid(idType: number, id: number, info: Wide, options: number, flags = 0): this {
    return this.fill(IORING_OP_WAITID, id, 0, idType, info, flags).putWord11("options", options);
  }

  /**
   * pipe2(2): `fds` points at room for two i32. Linux 6.16; io_uring_prep_pipe is newer than
   * liburing 2.3.
   */
  prepPipe(fds: Wide, flags = 0): this {
    return this.fill(IORING_OP_PIPE, 0, fds, 0, 0, flags);
  }

  /**
   * Puts both ends of a pipe into the registered files: into slot `fileIndex` and the next one, or
   * into two free slots (IORING_FILE_INDEX_ALLOC).
   */
  prepPipeDirect(fds: Wide, flags: number, fileIndex: number): this {
    return this.prepPipe(fds, flags).putTargetFile(fileIndex);
  }

  /**
   * io_uring_prep_files_update(3). `fds` points at `count` i32. They go into the registered files
   * from slot `offset` on.
   */
  prepFilesUpdate(fds: Wide, count: number, offset: number): this {
    requireField(this, "offset", offset, 0, U32_MAX);
    return this.fill(IORING_OP_FILES_UPDATE, -1, fds, count, offset);
  }

  /**
   * io_uring_prep_provide_buffers(3). Gives the kernel `count` buffers of `bytes` bytes each. They
   * lie one after the other from `address` on; their ids count from `bid` on. This is for kernels
   * before 5.19; later ones have `ring.setupBufRing`.
   */
  prepProvideBuffers(address: Wide, bytes: number, count: number, bgid: number, bid: number): this {
    requireField(this, "count", count, 0, U16_MAX + 1);
    requireField(this, "bid", bid, 0, U16_MAX);
    return this.fill(IORING_OP_PROVIDE_BUFFERS, count, address, bytes, bid).putBufferIndex("bgid", bgid);
  }

  /** io_uring_prep_remove_buffers(3). Removes up to `count` buffers; `res` is their number. */
  prepRemoveBuffers(count: number, bgid: number): this {
    requireField(this, "count", count, 0, U16_MAX + 1);
    return this.fill(IORING_OP_REMOVE_BUFFERS, count, 0, 0, 0).putBufferIndex("bgid", bgid);
  }
}
