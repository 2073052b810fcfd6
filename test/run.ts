/**
 * `npm test`: runs the unit tests and the comparison of the HTTP parser with llhttp once. Then it
 * runs the behaviour tests on three subjects: Bun's own functions, and ringloop in each ring mode.
 * Some of them run once more with faults in the ring's operations (src/reactor/faults/faults.ts).
 *
 * At the end it prints the failed tests with their errors, and the counts of all runs in one line,
 * `N passed, N failed`. Exits 1 unless all tests passed. Arguments after `--` go to `bun test`, for
 * example `-t` and a name.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TIMEOUT } from "./timeout.ts";

const disturbed = ["http-messages", "listen", "connect", "stream-socket", "node-http"].map(
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
for (const [i, { name, paths, env }] of runs.entries()) {
  console.log(`\n== ${name}`);
  const outfile = join(directory, `${i}.xml`);
  const options = [...TIMEOUT, "--reporter=junit", `--reporter-outfile=${outfile}`];
  const child = Bun.spawn([process.execPath, "test", ...options, ...paths.map((path) => `./${path}`), ...given], {
    cwd: `${import.meta.dir}/..`,
    env: { ...process.env, ...env },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const code = await child.exited;
  let report: Report = { passed: 0, failures: [] };
  try {
    report = readReport(readFileSync(outfile, "utf8"));
  } catch {
    failures.push(`== ${name}, no report: the run ended with ${child.signalCode ?? code}, see above`);
    continue;
  }
  passed += report.passed;
  failures.push(...report.failures.map((failure) => `== ${name}, ${failure}`));
  // No report contains a file that does not load. With `-t`, a run without any test is not a
  // failure.
  const isEmpty = report.passed === 0 && given.includes("-t");
  if (code !== 0 && report.failures.length === 0 && !isEmpty)
    failures.push(`== ${name}, outside of the tests: the run ended with ${code}, see above`);
}
rmSync(directory, { recursive: true });
for (const failure of failures) console.log(`\nFailed: ${failure}`);
console.log(`\n${passed} passed, ${failures.length} failed`);
process.exit(failures.length === 0 && passed > 0 ? 0 : 1);
