/**
 * Makes a seccomp filter of a profile in the form that container runtimes read (the `seccomp` of
 * the OCI runtime specification), with what docs/deploy/seccomp.json uses of it.
 */
import { compiler } from "../unit/compiled-c.ts";

export interface Profile {
  defaultAction: "SCMP_ACT_ERRNO";
  defaultErrnoRet: number;
  architectures: string[];
  syscalls: Rule[];
}

interface Rule {
  names: string[];
  action: "SCMP_ACT_ALLOW" | "SCMP_ACT_ERRNO";
  errnoRet?: number;
  /** The rule is for calls of which `argument & value` is `valueTwo`. */
  args?: [{ index: number; value: number; valueTwo: number; op: "SCMP_CMP_MASKED_EQ" }];
}

const KILL_PROCESS = 0x80000000;
const ERRNO = 0x00050000;
const ALLOW = 0x7fff0000;

/** Offsets in struct seccomp_data. An argument's low half comes first. */
const NUMBER = 0;
const ARCH = 4;
const ARGUMENTS = 16;

const AUDIT_ARCH = process.arch === "x64" ? 0xc000003e : 0xc00000b7;

/** Returns the numbers of this processor's system calls by their names. */
export function systemCalls(): Map<string, number> {
  const source = Buffer.from("#include <asm/unistd.h>\n");
  const { stdout } = Bun.spawnSync([compiler, "-E", "-dM", "-"], { stdin: source });
  const lines = stdout.toString().matchAll(/^#define __NR_(\w+) (\d+)$/gm);
  return new Map([...lines].map(([, name, number]) => [name!, Number(number)]));
}

/** Returns the struct sock_filter entries. Calls that this processor does not have are left out. */
export function filterOf({ defaultErrnoRet, syscalls }: Profile): Uint8Array {
  const numbers = systemCalls();
  const code: number[][] = [];
  const load = (offset: number): void => void code.push([0x20, 0, 0, offset]);
  const and = (mask: number): void => void code.push([0x54, 0, 0, mask]);
  const skipUnlessEqual = (value: number, skipped: number): void => void code.push([0x15, 0, skipped, value]);
  const answer = (value: number): void => void code.push([0x06, 0, 0, value]);
  load(ARCH);
  code.push([0x15, 1, 0, AUDIT_ARCH]);
  answer(KILL_PROCESS);
  load(NUMBER);
  for (const { names, action, errnoRet = defaultErrnoRet, args } of syscalls)
    for (const name of names) {
      const number = numbers.get(name);
      if (number === undefined) continue;
      skipUnlessEqual(number, args === undefined ? 1 : 5);
      if (args !== undefined) {
        const [{ index, value, valueTwo }] = args;
        load(ARGUMENTS + 8 * index);
        and(value);
        skipUnlessEqual(valueTwo, 1);
      }
      answer(action === "SCMP_ACT_ALLOW" ? ALLOW : ERRNO | errnoRet);
      if (args !== undefined) answer(ERRNO | defaultErrnoRet);
    }
  answer(ERRNO | defaultErrnoRet);
  const bytes = Buffer.alloc(8 * code.length);
  code.forEach(([operation, whenTrue, whenFalse, value], i) => {
    bytes.writeUInt16LE(operation!, 8 * i);
    bytes.writeUInt8(whenTrue!, 8 * i + 2);
    bytes.writeUInt8(whenFalse!, 8 * i + 3);
    bytes.writeUInt32LE(value!, 8 * i + 4);
  });
  return bytes;
}
