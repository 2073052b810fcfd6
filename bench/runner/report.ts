/** Medians, and readable tables. */
import { cpus, release } from "node:os";

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function percentile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))]!;
}

export function printTable(title: string, columns: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = columns.map((column, i) => Math.max(column.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ");
  console.log(`\n${title}\n${line(columns)}\n${widths.map((width) => "-".repeat(width)).join("  ")}`);
  for (const row of rows) console.log(line(row));
}

export const thousands = (value: number): string =>
  Number.isNaN(value) ? "-" : Math.round(value).toLocaleString("en");
export const ratio = (value: number): string => `${value.toFixed(2)}x`;

/** Describes the machine on which a report was measured. */
export function machine(): { cpu: string; cores: number; kernel: string } {
  const processors = cpus();
  return { cpu: processors[0]!.model, cores: processors.length, kernel: release() };
}
