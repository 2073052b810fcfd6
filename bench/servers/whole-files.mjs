/**
 * A subject of bench/small-files.ts. Its first argument names the module to use.
 *
 * Each line of the input is a request `{ operation, directory, files, bytes, atOnce }`: `write` or
 * `read` of `files` files of `bytes` bytes, `atOnce` at a time, or `copy` of the file "from" of the
 * directory. The answer is a line with milliseconds, and microseconds of CPU of the whole process.
 */
import { readFileSync, statSync } from "node:fs";
import { createInterface } from "node:readline";

const { readFile, writeFile, copyFile } = await import(process.argv[2]);
let content = Buffer.alloc(0);

async function each({ files, atOnce }, work) {
  let next = 0;
  const worker = async () => {
    while (next < files) await work(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

const operations = {
  write: (asked) => each(asked, (i) => writeFile(`${asked.directory}/${i}`, content)),
  read: (asked) =>
    each(asked, async (i) => {
      const { directory } = asked;
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
  if (content.length !== asked.bytes) content = Buffer.alloc(asked.bytes, "a small file ");
  const start = performance.now();
  const before = process.cpuUsage();
  await operations[asked.operation](asked);
  const { user, system } = process.cpuUsage(before);
  const ms = performance.now() - start;
  check(asked);
  console.log(JSON.stringify({ ms, cpuUs: user + system }));
}
process.exit(0);
