/**
 * Registrations that a ring's waits use, io_uring_register(2): busy polling, the clock, and
 * arguments that the kernel does not copy for each wait.
 */
import {
  IORING_REGISTER_CLOCK,
  IORING_REGISTER_MEM_REGION,
  IORING_REGISTER_NAPI,
  IORING_MEM_REGION_TYPE_USER,
  IORING_UNREGISTER_NAPI,
} from "../sys/abi.ts";
import { Registrations } from "./registration.ts";
import { type BufferPiece, bytesOf, scratch } from "./registration-arguments.ts";
import { requireBoolean, requireInteger, requireObject, U32_MAX, wideOf } from "../sys/check.ts";

/** struct io_uring_napi. */
export interface Napi {
  /** Time in microseconds for which a wait polls the network card's queues before it sleeps. */
  busyPollUs: number;
  /** SO_PREFER_BUSY_POLL: the card's interrupts stay off while a wait polls. Default false. */
  preferBusyPoll?: boolean;
}

/** sizeof(struct io_uring_region_desc). */
const REGION_BYTES = 64;

export abstract class WaitRegistrations extends Registrations {
  /**
   * io_uring_register_napi(3). Makes waits poll the queues of the network cards whose sockets the
   * ring has used. Returns the former values.
   *
   * Linux 6.9, with CONFIG_NET_RX_BUSY_POLL (EINVAL without it). Not for a ring with
   * IORING_SETUP_IOPOLL. It has no effect on the loopback device, which has no queues.
   */
  registerNapi(napi: Napi): Required<Napi> {
    requireObject("napi", napi);
    const { busyPollUs, preferBusyPoll = false } = napi;
    requireBoolean("preferBusyPoll", preferBusyPoll);
    requireInteger("busyPollUs", busyPollUs, 0, U32_MAX);
    return this.napi(IORING_REGISTER_NAPI, busyPollUs, preferBusyPoll);
  }

  /** io_uring_unregister_napi(3). Returns the former values. */
  unregisterNapi(): Required<Napi> {
    return this.napi(IORING_UNREGISTER_NAPI, 0, false);
  }

  private napi(opcode: number, busyPollUs: number, preferBusyPoll: boolean): Required<Napi> {
    const argument = Uint32Array.of(busyPollUs, preferBusyPoll ? 1 : 0, 0, 0);
    this.register(opcode, argument, 1);
    return { busyPollUs: argument[0]!, preferBusyPoll: (argument[1]! & 0xff) !== 0 };
  }

  /**
   * io_uring_register_clock(3). Sets the clock for the time limits of waits: CLOCK_MONOTONIC (the
   * default) or CLOCK_BOOTTIME. Linux 6.12.
   */
  registerClock(clock: number): void {
    requireInteger("clock", clock, 0, U32_MAX);
    this.register(IORING_REGISTER_CLOCK, Uint32Array.of(clock, 0, 0, 0), 0);
  }

  /**
   * io_uring_register_region(3). Registers memory that the kernel keeps mapped: whole pages, from
   * the start of a page, once for each ring. The memory must live as long as the ring. Linux 6.13.
   *
   * `flags`: IORING_MEM_REGION_REG_WAIT_ARG for the arguments of `submitAndWaitReg`
   * (`RingMemory.waitArguments`). The ring must be set up with IORING_SETUP_R_DISABLED and not be
   * enabled yet (EINVAL).
   */
  registerRegion(piece: BufferPiece, flags = 0): void {
    requireObject("piece", piece);
    const { address, bytes } = piece;
    requireInteger("flags", flags, 0, U32_MAX);
    using memory = scratch();
    const region = memory.allocate(REGION_BYTES);
    const words = BigUint64Array.of(
      wideOf("address", address),
      wideOf("bytes", bytes),
      BigInt(IORING_MEM_REGION_TYPE_USER),
    );
    region.buffer.set(bytesOf(words));
    this.register(IORING_REGISTER_MEM_REGION, BigUint64Array.of(BigInt(region.address), BigInt(flags), 0n, 0n), 1);
  }
}
