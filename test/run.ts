/**
 * `npm test`: unit tests and the HTTP parser's comparison with llhttp once, then the behaviour tests against three subjects: Bun's own
 * functions, and ringloop in each ring mode; some of them once more while the ring's operations are disturbed (src/reactor/faults.ts).
 *
 * Ends with what the tests that failed printed, once more, and the counts of all runs on one line, `N passed, N failed`; exits 1
 * unless all passed. Arguments after `--` go to `bun test`, for instance `-t` and a name.
 */
const disturbed = ["http-messages", "listen", "connect", "stream-socket"].map(
  (name) => `test/behaviour/${name}.test.ts`,
);
const faults = "seed=1,rate=0.05";

const runs: { name: string; paths: string[]; env?: Record<string, string> }[] = [
  { name: "unit", paths: ["test/unit"] },
  { name: "parser against llhttp", paths: ["test/oracle"] },
  { name: "behaviour of Bun", paths: ["test/behaviour"], env: { RINGLOOP_TEST_SUBJECT: "bun" } },
];
for (const subject of ["defer", "sqpoll"]) {
  const env = { RINGLOOP_TEST_SUBJECT: subject };
  runs.push({ name: `behaviour in ${subject}`, paths: ["test/behaviour"], env });
  runs.push({ name: `behaviour in ${subject}, disturbed`, paths: disturbed, env: { ...env, RINGLOOP_FAULTS: faults } });
}

/** What `bun test` printed of the tests that failed: each with the lines since the test before; of a run that died, its last lines. */
const failuresIn = (text: string): string[] => {
  const failures: string[] = [];
  let file = "";
  let since: string[] = [];
  for (const line of text.split("\n")) {
    if (/^test\/.*\.test\.ts:$/.test(line)) file = line;
    if (/^\d+ tests? failed:$/.test(line)) break; // the runner's own list of what has been seen above
    since.push(line);
    if (!/^\((pass|fail|skip|todo)\) /.test(line)) continue;
    if (line.startsWith("(fail)") || since.includes("# Unhandled error between tests")) {
      failures.push([file, ...since.filter((line) => line !== file)].join("\n"));
    }
    since = [];
  }
  return failures.length > 0 ? failures : [since.slice(-40).join("\n")];
};

let passed = 0;
let failed = 0;
const failures: string[] = [];
for (const { name, paths, env } of runs) {
  console.log(`\n== ${name}`);
  const child = Bun.spawn([process.execPath, "test", ...paths.map((path) => `./${path}`), ...process.argv.slice(2)], {
    cwd: `${import.meta.dir}/..`,
    env: { ...process.env, ...env },
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
  // A run that crashed, or whose files failed to load, has failed even if no test did; one that has no test of the name asked for has not.
  const isEmpty = /^error: regex .* matched 0 tests\b/m.test(text);
  const failedHere = count("fail") || (code === 0 || isEmpty ? 0 : 1);
  failed += failedHere;
  if (failedHere > 0) failures.push(...failuresIn(text).map((failure) => `== ${name}, ${failure}`));
}
for (const failure of failures) console.log(`\nFailed: ${failure}`);
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
