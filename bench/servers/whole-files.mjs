/**
 * A subject of bench/small-files.ts. It runs the operation in each line of its input, with the
 * module that its first argument names, and answers with a line.
 *
 * The input is `{ operation, directory, files }`: `write` or `read` of `files` files of 1 KiB, 64
 * at a time, or `copy` of the directory's file "from". The answer has milliseconds, and
 * microseconds of CPU of the whole process.
 */
import { readFileSync, statSync } from "node:fs";
import { createInterface } from "node:readline";

const { readFile, writeFile, copyFile } = await import(process.argv[2]);
const content = Buffer.alloc(1024, "a small file ");
const AT_ONCE = 64;

async function each(files, work) {
  let next = 0;
  const worker = async () => {
    while (next < files) await work(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

const operations = {
  write: ({ directory, files }) => each(files, (i) => writeFile(`${directory}/${i}`, content)),
  read: ({ directory, files }) =>
    each(files, async (i) => {
      if (!(await readFile(`${directory}/${i}`)).equals(content))
        throw new Error(`${directory}/${i} has other contents`);
    }),
  copy: ({ directory }) => copyFile(`${directory}/from`, `${directory}/to`),
};

function check({ operation, directory, files }) {
  if (operation === "copy") {
    if (statSync(`${directory}/to`).size !== statSync(`${directory}/from`).size)
      throw new Error("the copy has another size");
  } else if (operation === "write")
    for (let i = 0; i < files; i += 97)
      if (!readFileSync(`${directory}/${i}`).equals(content)) throw new Error(`${directory}/${i} has other contents`);
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const start = performance.now();
  const before = process.cpuUsage();
  await operations[asked.operation](asked);
  const { user, system } = process.cpuUsage(before);
  const ms = performance.now() - start;
  check(asked);
  console.log(JSON.stringify({ ms, cpuUs: user + system }));
}
process.exit(0);
