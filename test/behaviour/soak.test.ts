/**
 * The short form of the soak test: every service at once, with clients that die, stall and reset.
 * `npm run soak` is the long form.
 */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SoakResult } from "../soak/soak.ts";
import { attempt } from "./process.ts";
import { isBun, subject } from "./subject.ts";

const SEED = Number(process.env.RINGLOOP_TEST_SEED ?? 20260101);
const program = join(import.meta.dir, "../soak/soak.ts");

test.skipIf(isBun)(
  `after some seconds of everything at once all has come back, and every answer was right (seed ${SEED})`,
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "ringloop-soak-test-"));
    const out = join(directory, "result.json");
    try {
      const flags = ["--seconds", "3", "--mode", subject, "--seed", String(SEED), "--out", out];
      const { exitCode } = await attempt([process.execPath, program, ...flags]);
      const { violations, answers, deeds } = JSON.parse(readFileSync(out, "utf8")) as SoakResult;
      expect(violations).toEqual([]);
      expect(exitCode).toBe(0);
      expect(answers).toBeGreaterThan(30); // Also on a busy machine.
      expect(Object.keys(deeds).length).toBeGreaterThan(8);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
);
