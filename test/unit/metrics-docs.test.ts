/** docs/metrics.md has every metric, as the package describes it. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describeMetrics, metrics } from "../../src/metrics/index.ts";

const page = readFileSync(join(import.meta.dir, "../../docs/metrics.md"), "utf8");

test("the table of docs/metrics.md is what describeMetrics() returns", () => {
  const rows = page.split("\n").filter((line) => line.startsWith("| `ringloop_"));
  const found = rows.map((row) =>
    row
      .slice(2, -2)
      .split(" | ")
      .map((cell) => cell.trim()),
  );
  const described = describeMetrics().map(({ name, type, unit, labels, help }) => {
    return [`\`${name}\``, type, unit, labels.map((label) => `\`${label}\``).join(", "), help];
  });
  expect(found).toEqual(described);
});

test("metrics() gives no series of another metric, and those without labels from the start", () => {
  const described = describeMetrics();
  const names = new Set(Object.keys(metrics()).map((series) => series.replace(/\{.*/, "")));
  expect([...names].filter((name) => !described.some((each) => each.name === name))).toEqual([]);
  const plain = described.filter(({ labels }) => labels.length === 0).map(({ name }) => name);
  expect(plain.filter((name) => !names.has(name))).toEqual([]);
});
