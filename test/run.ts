/**
 * `npm test`: unit tests and the HTTP parser's comparison with llhttp once, then the behaviour tests against three subjects: Bun's own
 * functions, and ringloop in each ring mode.
 *
 * Ends with the counts of all runs on one line, `N passed, N failed`, and exits 1 unless all passed. Arguments after `--` go to
 * `bun test`, for instance a file name.
 */
const runs = [
  { name: "unit", path: "test/unit", subject: undefined },
  { name: "parser against llhttp", path: "test/oracle", subject: undefined },
  { name: "behaviour of Bun", path: "test/behaviour", subject: "bun" },
  { name: "behaviour in defer", path: "test/behaviour", subject: "defer" },
  { name: "behaviour in sqpoll", path: "test/behaviour", subject: "sqpoll" },
] as const;

let passed = 0;
let failed = 0;
for (const { name, path, subject } of runs) {
  console.log(`\n== ${name}`);
  const child = Bun.spawn([process.execPath, "test", `./${path}`, ...process.argv.slice(2)], {
    cwd: `${import.meta.dir}/..`,
    env: { ...process.env, ...(subject && { RINGLOOP_TEST_SUBJECT: subject }) },
    stdout: "pipe",
    stderr: "pipe",
  });
  let text = "";
  const show = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      const part = decoder.decode(chunk, { stream: true });
      text += part;
      process.stdout.write(part);
    }
  };
  await Promise.all([show(child.stdout), show(child.stderr)]);
  const code = await child.exited;
  const count = (word: string): number => Number(new RegExp(`^ *(\\d+) ${word}$`, "m").exec(text)?.[1] ?? 0);
  passed += count("pass");
  // A run that crashed, or whose files failed to load, has failed even if no test did.
  failed += count("fail") || (code === 0 ? 0 : 1);
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
