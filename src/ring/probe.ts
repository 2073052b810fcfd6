/**
 * The operations that the kernel has, io_uring_get_probe(3). It does not tell which flags they
 * support; features.ts tries those.
 */
import { IO_URING_OP_SUPPORTED } from "../sys/abi.ts";
import { requireInteger } from "../sys/check.ts";

export class Probe {
  /** The last opcode that the kernel knows. */
  readonly lastOp: number;
  /** struct io_uring_probe. */
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.lastOp = bytes[0]!;
  }

  /** io_uring_opcode_supported(3): whether the kernel has the operation IORING_OP_*. */
  opcodeSupported(opcode: number): boolean {
    requireInteger("opcode", opcode, 0, 255);
    return opcode <= this.lastOp && (this.bytes[16 + opcode * 8 + 2]! & IO_URING_OP_SUPPORTED) !== 0;
  }
}
