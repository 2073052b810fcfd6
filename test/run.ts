/**
 * `npm test`: runs the unit tests and the comparison of the HTTP parser with llhttp once. It runs
 * the behaviour tests on three subjects: Bun's own functions, and ringloop in each ring mode. Some
 * of them run once more with faults in the ring's operations (src/reactor/faults/faults.ts). Two
 * runs go on at the same time. The output of a run is printed when it has ended.
 *
 * At the end it prints the failed tests with their errors, and the counts of all runs in one line,
 * `N passed, N failed`. Exits 1 unless all tests passed. Arguments after `--` go to `bun test`, for
 * example `-t` and a name.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TIMEOUT } from "./timeout.ts";

/** Number of runs at the same time. Each of them waits for most of its time. */
const PARALLEL_RUNS = 2;

interface Run {
  name: string;
  paths: string[];
  env?: Record<string, string>;
}

const disturbed = ["http-messages", "listen", "connect", "stream-socket", "node-http"].map(
  (name) => `test/behaviour/${name}.test.ts`,
);
const behaviourOn = (subject: string): Run => ({
  name: `behaviour ${subject === "bun" ? "of Bun" : `in ${subject}`}`,
  paths: ["test/behaviour"],
  env: { RINGLOOP_TEST_SUBJECT: subject },
});
const disturbedIn = (mode: string): Run => ({
  name: `behaviour in ${mode}, disturbed`,
  paths: disturbed,
  env: { RINGLOOP_TEST_SUBJECT: mode, RINGLOOP_FAULTS: "seed=1,rate=0.05" },
});
/** The longest are first, so that none of them runs alone at the end. */
const runs: Run[] = [
  behaviourOn("defer"),
  behaviourOn("sqpoll"),
  behaviourOn("bun"),
  { name: "unit", paths: ["test/unit"] },
  disturbedIn("defer"),
  disturbedIn("sqpoll"),
  { name: "parser against llhttp", paths: ["test/oracle"] },
];

interface Report {
  passed: number;
  failures: string[];
}

/** Reads the JUnit report of `bun test`. In it every `"`, `<` and `&` of a text is escaped. */
function readReport(xml: string): Report {
  const text = (escaped: string): string =>
    escaped
      .replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)))
      .replace(
        /&(lt|gt|quot|apos|amp);/g,
        (_, name) => ({ lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" })[name as "lt"],
      );
  const [, tests, failed, skipped] = /<testsuites [^>]*tests="(\d+)"[^>]*failures="(\d+)"[^>]*skipped="(\d+)"/
    .exec(xml)!
    .map(Number);
  const cases = xml.matchAll(
    /<testcase name="([^"]*)" classname="([^"]*)"[^>]* file="([^"]*)" line="(\d+)"[^>]*>\s*<failure([^>]*?)(?:\/>|>([^<]*)<)/g,
  );
  const failures = [...cases].map(([, name, group, file, line, attributes, error]) => {
    const message = error || /message="([^"]*)"/.exec(attributes!)?.[1] || "no message";
    return text(`${file}:${line}, ${group === "" ? name : `${group} > ${name}`}\n${message}`);
  });
  return { passed: tests! - failed! - skipped!, failures };
}

const directory = mkdtempSync(join(tmpdir(), "ringloop-tests-"));
const given = process.argv.slice(2);
let passed = 0;
const failures: string[] = [];

async function carryOut({ name, paths, env }: Run, index: number): Promise<void> {
  const outfile = join(directory, `${index}.xml`);
  const output = join(directory, `${index}.txt`);
  const options = [...TIMEOUT, "--reporter=junit", `--reporter-outfile=${outfile}`];
  const file = Bun.file(output);
  const child = Bun.spawn([process.execPath, "test", ...options, ...paths.map((path) => `./${path}`), ...given], {
    cwd: `${import.meta.dir}/..`,
    env: { ...process.env, ...env },
    stdio: ["ignore", file, file],
  });
  const code = await child.exited;
  console.log(`\n== ${name}\n${readFileSync(output, "utf8")}`);
  let report: Report = { passed: 0, failures: [] };
  try {
    report = readReport(readFileSync(outfile, "utf8"));
  } catch {
    failures.push(`== ${name}, no report: the run ended with ${child.signalCode ?? code}, see above`);
    return;
  }
  passed += report.passed;
  failures.push(...report.failures.map((failure) => `== ${name}, ${failure}`));
  // No report contains a file that does not load. With `-t`, a run without any test is not a
  // failure.
  const isEmpty = report.passed === 0 && given.includes("-t");
  if (code !== 0 && report.failures.length === 0 && !isEmpty)
    failures.push(`== ${name}, outside of the tests: the run ended with ${code}, see above`);
}

console.log(`running ${runs.map(({ name }) => name).join("; ")}: several minutes`);
const waiting = runs.entries();
const worker = async (): Promise<void> => {
  for (const [index, run] of waiting) await carryOut(run, index);
};
await Promise.all(Array.from({ length: PARALLEL_RUNS }, worker));
rmSync(directory, { recursive: true });
for (const failure of failures) console.log(`\nFailed: ${failure}`);
console.log(`\n${passed} passed, ${failures.length} failed`);
process.exit(failures.length === 0 && passed > 0 ? 0 : 1);
