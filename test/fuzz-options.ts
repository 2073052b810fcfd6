/**
 * `npm run fuzz:options`: runs behaviour/fixtures/options-fuzz.ts with new seeds. Options:
 * `--minutes` (duration), `--mode` (default: both modes in turn), `--seed` (the first seed). Prints
 * the calls. Exits 1 at the first violation, which names its seed.
 */
import { parseArgs } from "node:util";
import { fixture, Program } from "./behaviour/process.ts";

const CALLS = 3000;
const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    mode: { type: "string" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
  },
});
const minutes = Number(values.minutes);
const firstSeed = Number(values.seed);
const modes = values.mode === undefined ? ["defer", "sqpoll"] : [values.mode];
if (!(minutes > 0) || !Number.isInteger(firstSeed) || !modes.every((mode) => ["defer", "sqpoll"].includes(mode))) {
  console.error("usage: npm run fuzz:options -- [--minutes 60] [--mode defer|sqpoll] [--seed 1]");
  process.exit(2);
}

const total = { worked: 0, refused: 0 };
const endMs = performance.now() + minutes * 60_000;
let violations: string[] = [];
console.log(`from seed ${firstSeed}, in ${modes.join(" and ")}`);
for (let run = 0; performance.now() < endMs && violations.length === 0; run++) {
  const seed = firstSeed + run * CALLS;
  const mode = modes[run % modes.length]!;
  await using program = new Program([process.execPath, fixture("options-fuzz.ts"), `${seed}`, `${CALLS}`], {
    RINGLOOP_TEST_SUBJECT: mode,
  });
  try {
    const { tried, wrong, left } = await program.line();
    for (const { worked, refused } of Object.values<typeof total>(tried)) {
      total.worked += worked;
      total.refused += refused;
    }
    violations = wrong;
    for (const [what, count] of Object.entries(left))
      if (count !== 0) violations.push(`${count as number} ${what} left`);
  } catch (error) {
    violations = [(error as Error).message];
  }
  if (violations.length > 0) console.log(`from seed ${seed}, ${CALLS} calls, in ${mode}:\n${violations.join("\n")}`);
}
console.log(
  `${(total.worked + total.refused).toLocaleString("en-US")} calls: ${total.worked} worked, ${total.refused} refused`,
);
process.exit(violations.length === 0 ? 0 : 1);
