/**
 * Writes the constants and layouts of abi-table.ts with the values that the C compiler sees in the
 * headers: `npm run abi`. TypeScript gets src/sys/abi.ts, src/sys/socket-abi.ts,
 * src/sys/linux.ts and src/sys/layout.ts, and ringloop.c gets layout.h.
 *
 * Guarantees: the files are the same on every machine and with every liburing from 2.3 on. A value
 * of the table that the headers contradict is an error.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  abi,
  byMachine,
  comments,
  type Group,
  headers,
  linux,
  linuxHeaders,
  members,
  sockets,
  types,
  words,
} from "./abi-table.ts";

type Machine = "x64" | "arm64";

/** A value in C: the name of a constant, or an expression for a size or an offset. */
interface Value {
  expression: string;
  /** The first version of Linux that has it, if a header may lack it. */
  version?: string;
  /** The value of the table, if the header may lack it, or is ringloop's. */
  given?: number;
}

interface Constant extends Value {
  name: string;
}

/** Returns the constants of a group, in the table's order. */
function constantsOf({ own = {}, names = {}, newer = {}, measured = {} }: Group): Constant[] {
  const known = Object.entries(names).flatMap(([prefix, list]) => words(list).map((rest) => prefix + rest));
  const later = Object.entries(newer).flatMap(([version, values]) =>
    Object.entries(values).map(([name, given]) => ({ name, expression: name, version, given })),
  );
  return [
    ...Object.entries(own).map(([name, given]) => ({ name, expression: name, given })),
    ...known.map((name) => ({ name, expression: name })),
    ...later,
    ...Object.entries(measured).map(([name, expression]) => ({ name, expression })),
  ];
}

/** The constants that layout.h has, too. */
const constants = [...abi, ...sockets].flatMap(constantsOf);
const named = new Set(constants.map(({ expression }) => expression));
/** Sizes and offsets of types. `layout` starts with those that have no name of their own. */
const layouts: Value[] = [
  ...[...types, ...Object.keys(members)].map((type) => `sizeof(${type})`),
  ...Object.entries(members).flatMap(([type, list]) => words(list).map((member) => `offsetof(${type}, ${member})`)),
]
  .filter((expression) => !named.has(expression))
  .map((expression) => ({ expression }));

/** Returns the constants of a module in the order in which the module lists its exports. */
const exportsOf = (groups: readonly Group[]): Constant[] =>
  groups.flatMap(constantsOf).toSorted((a, b) => (a.name < b.name ? -1 : 1));
/** The entries of `layout`. */
const compared: Value[] = [...layouts, ...exportsOf(abi), ...exportsOf(sockets)];
const all: Value[] = [...compared, ...linux.flatMap(constantsOf)];
const included = (files: readonly string[]): string => files.map((file) => `#include <${file}>\n`).join("");
const includes = `#define _GNU_SOURCE\n${included([...headers, ...linuxHeaders])}`;

/** Runs a compiler, or a program, with a text as its input. Returns its output. */
function output(command: string[], input: string): string {
  const { success, stdout, stderr } = Bun.spawnSync(command, { stdin: Buffer.from(input), stderr: "pipe" });
  if (!success) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
  return stdout.toString();
}

/**
 * Returns this machine's values by expression, from the headers where they have one. Throws if they
 * contradict the table.
 */
export function measure(wanted: readonly Value[] = all): Map<string, number> {
  const compiler = process.env.CC ?? "cc";
  // The text after preprocessing has the enumerators, and `-dD` adds the macros.
  const known = new Set(output([compiler, "-E", "-dD", "-x", "c", "-"], includes).match(/\w+/g));
  const inHeaders = wanted.filter(({ expression, given }) => given === undefined || known.has(expression));
  const prints = inHeaders.map(({ expression }) => `  printf("%lld\\n", (long long)(${expression}));\n`);
  const source = `${includes}#include <stdio.h>\nint main(void) {\n${prints.join("")}}\n`;
  const program = join(import.meta.dir, `build/abi.${process.pid}`);
  let lines: string[];
  try {
    output([compiler, "-x", "c", "-o", program, "-"], source);
    lines = output([program], "").split("\n");
  } finally {
    rmSync(program, { force: true });
  }
  const measured = new Map(inHeaders.map(({ expression }, i) => [expression, Number(lines[i])]));
  for (const { expression, given } of wanted) {
    const expected = given ?? byMachine[expression]?.[process.arch as Machine];
    const value = measured.get(expression) ?? expected!;
    if (expected !== undefined && value !== expected)
      throw new Error(`${expression} is ${value} in the headers, and ${expected} in ffi/abi-table.ts`);
    measured.set(expression, value);
  }
  return measured;
}

/** Returns C that compiles only for a machine on which the values are those of the files. */
export function assertions(machine: Machine, values: Map<string, number>): string {
  const lines = all
    .filter(({ given }) => given === undefined)
    .map(({ expression }) => {
      const value = byMachine[expression]?.[machine] ?? values.get(expression)!;
      return `_Static_assert((long long)(${expression}) == ${value}, "${expression} is not ${value}");\n`;
    });
  return includes + lines.join("");
}

const origin = "Generated by ffi/generate-abi.ts (`npm run abi`) from ffi/abi-table.ts. Do not edit.";

/** Returns the comments at the start of a file. `start` opens the second one. */
const opening = (start: "/*" | "/**", ...paragraphs: string[]): string =>
  `/* ${origin} */\n${start}\n${paragraphs.map((text) => ` * ${text.replaceAll("\n", "\n * ")}\n`).join(" *\n")} */\n`;

/** Returns a value as TypeScript. */
function literal(expression: string, values: Map<string, number>, form?: Group["form"]): string {
  const machines = byMachine[expression];
  if (machines) return `process.arch === "x64" ? ${machines.x64} : ${machines.arm64}`;
  const value = values.get(expression)!;
  const bit = Math.log2(value);
  if (form === "bits" && Number.isInteger(bit) && bit < 31) return `1 << ${bit}`;
  const isDecimal = value <= 0 || (form === undefined && value < 2 ** 31);
  return isDecimal ? `${value}` : `0x${value.toString(16)}`;
}

/** Returns the module of these groups. */
function constantsModule(groups: readonly Group[], values: Map<string, number>): string {
  const line = ({ name, expression, version }: Constant, form: Group["form"]): string => {
    const comment = [comments[name], version && `Linux ${version}.`].filter(Boolean).join(" ");
    return `${comment && `/** ${comment} */\n`}export const ${name} = ${literal(expression, values, form)};\n`;
  };
  return groups
    .map(
      (group) =>
        `\n// ${group.title}\n${constantsOf(group)
          .map((each) => line(each, group.form))
          .join("")}`,
    )
    .join("");
}

function layoutModule(values: Map<string, number>): string {
  return `import * as abi from "./abi.ts";\nimport * as sockets from "./socket-abi.ts";

/** C expression or name, and expected value, of every entry of \`layout\` in ffi/layout.h. */
export const layout: readonly (readonly [name: string, value: number])[] = [
${layouts.map(({ expression }) => `  ["${expression}", ${literal(expression, values)}],\n`).join("")}\
  // A module lists its exports in alphabetical order.
  ...[...Object.entries(abi), ...Object.entries(sockets)].map(([name, value]) => [name, value >>> 0] as const),
];
`;
}

function cHeader(values: Map<string, number>): string {
  const own = constants.filter(({ given, version }) => given !== undefined && version === undefined);
  const newer = constants.filter(({ version }) => version !== undefined);
  const entry = ({ expression }: Value): string =>
    `    ${values.get(expression)! < 0 ? "(uint32_t)" : ""}${expression},\n`;
  return `#ifndef RINGLOOP_LAYOUT_H
#define RINGLOOP_LAYOUT_H

${included(headers)}\
/* musl's header has struct statx since 1.2.4. */
#ifndef STATX_BASIC_STATS
#include <linux/stat.h>
#endif

${own.map(({ name, given }) => `/* ${comments[name]} */\n#define ${name} ${given}\n`).join("")}
/* The kernel's constants that are newer than liburing 2.3, where the headers lack them. */
${newer.map(({ name, given }) => `#ifndef ${name}\n#define ${name} ${given}U\n#endif\n`).join("")}
static const uint32_t layout[] = {
${compared.map(entry).join("")}\
};

#endif
`;
}

/** Returns the generated files by their paths in the repository. */
export function generate(values: Map<string, number>): Record<string, string> {
  const abiOpening = opening(
    "/**",
    `Constants and sizes of io_uring under the kernel's names (include/uapi/linux/io_uring.h). They are
the same on x86-64 and arm64, except where a value says otherwise.`,
    "Guarantees: layout.ts compares each with the C compiler's value before a ring is set up.",
  );
  const socketOpening = opening(
    "/**",
    "Constants of sockets that ringloop uses itself, under their C names. They are the same on x86-64\nand arm64.",
    "Guarantees: layout.ts compares each with the C compiler's value before a ring is set up.",
  );
  const linuxOpening = opening(
    "/**",
    `Constants of Linux system calls that operations of io_uring take, under their C names. They are
the same on x86-64 and arm64. O_* constants are not here, because they differ; \`constants\` of
node:fs has them.`,
  );
  const layoutOpening = opening(
    "/**",
    `The values that TypeScript expects of the compiled ffi/ringloop.c. library.ts compares them
before a ring is set up.`,
    "Guarantees: the same values in the same order as `layout` in ffi/layout.h.",
  );
  const headerOpening = opening(
    "/*",
    `ringloop's own constants, those that the headers of liburing 2.3 lack, and the values that
src/sys/layout.ts compares with TypeScript's.`,
  );
  return {
    "src/sys/abi.ts": `${abiOpening}${constantsModule(abi, values)}`,
    "src/sys/socket-abi.ts": `${socketOpening}${constantsModule(sockets, values)}`,
    "src/sys/linux.ts": `${linuxOpening}${constantsModule(linux, values)}`,
    "src/sys/layout.ts": `${layoutOpening}${layoutModule(values)}`,
    "ffi/layout.h": `${headerOpening}${cHeader(values)}`,
  };
}

if (import.meta.main)
  for (const [file, text] of Object.entries(generate(measure())))
    writeFileSync(join(import.meta.dir, "..", file), text);
