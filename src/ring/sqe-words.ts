/**
 * Every word of struct io_uring_sqe under its name in C. It is for operations without a prep
 * function, and for further fields of a prepared entry. Each setter replaces the word's value.
 * sqe-fields.ts has user data, flags and personality.
 *
 * | bytes | here             | in C                                                           |
 * | ----- | ---------------- | -------------------------------------------------------------- |
 * | 0     | `opcode`         | opcode                                                         |
 * | 1     | `setFlags`       | flags                                                          |
 * | 2     | `ioprio`         | ioprio                                                         |
 * | 4     | `setFd`          | fd                                                             |
 * | 8     | `setOff`         | off, addr2, cmd_op                                             |
 * | 16    | `setAddr`        | addr, splice_off_in, level and optname                         |
 * | 24    | `length`         | len                                                            |
 * | 28    | `setOpFlags`     | rw_flags, msg_flags and so on                                  |
 * | 32    | `setUserData`    | user_data                                                      |
 * | 40    | `setBufIndex`    | buf_index, buf_group                                           |
 * | 42    | `setPersonality` | personality                                                    |
 * | 44    | `setFileIndex`   | file_index, splice_fd_in, zcrx_ifq_idx, optlen, addr_len       |
 * | 48    | `setAddr3`       | addr3, attr_ptr, optval                                        |
 * | 56    | `setAttrTypeMask`| attr_type_mask                                                 |
 * | 48    | `command`        | cmd                                                            |
 */
import { U16_MAX, U32_MAX } from "../sys/check.ts";
import { require32, requireField, requireWide, type Wide } from "./sqe-checks.ts";
import { SqeFields } from "./sqe-fields.ts";

export class SqeWords extends SqeFields {
  /** Sets another operation, IORING_OP_*, with the same words. */
  setOpcode(opcode: number): this {
    requireField(this, "opcode", opcode, 0, 0xff);
    this.words[this.base] = (this.words[this.base]! & ~0xff) | opcode;
    return this;
  }

  /** Sets a descriptor, or the value that an operation has in its place. */
  setFd(fd: number): this {
    this.words[this.base + 1] = require32(this, "fd", fd);
    return this;
  }

  /** Sets an offset in bytes; -1 means the file's own position. */
  setOff(off: Wide): this {
    requireWide(this, "off", off, -1);
    return this.writeWide(2, typeof off === "bigint" ? BigInt.asUintN(64, off) : off);
  }

  setAddr(addr: Wide): this {
    return this.putWide("addr", 4, addr);
  }

  /** Sets the operation's own flags: RWF_*, MSG_*, IORING_TIMEOUT_* and so on. */
  setOpFlags(flags: number): this {
    this.words[this.base + 7] = require32(this, "flags", flags);
    return this;
  }

  /**
   * Sets a registered buffer, or a group of provided buffers (`setBufferGroup` also sets
   * IOSQE_BUFFER_SELECT).
   */
  setBufIndex(index: number): this {
    requireField(this, "index", index, 0, U16_MAX);
    this.words[this.base + 10] = (this.words[this.base + 10]! & ~U16_MAX) | index;
    return this;
  }

  /**
   * Sets the file index as in C: 0 means an ordinary descriptor, slots of the registered files
   * count from 1, and IORING_FILE_INDEX_ALLOC means a free slot.
   */
  setFileIndex(index: number): this {
    requireField(this, "index", index, 0, U32_MAX);
    return this.putWord11("index", index);
  }

  setAddr3(addr3: Wide): this {
    return this.putAddress3("addr3", addr3);
  }

  /**
   * Sets the attributes that `setAddr3` points at: IORING_RW_ATTR_FLAG_PI for a struct
   * io_uring_attr_pi. Linux 6.14.
   */
  setAttrTypeMask(mask: Wide): this {
    return this.putWide("mask", 14, mask);
  }
}
