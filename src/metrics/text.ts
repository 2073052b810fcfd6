/**
 * The text form of metrics, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 */
import type { Source } from "./source.ts";
import { definitions, type Sample } from "./table.ts";

/** Returns the name of a series as in the text: the metric, and its labels in braces. */
export function seriesName(name: string, { labels }: Sample): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${escapeValue(value)}"`);
  return pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`;
}

export function textOf(source: Source): string {
  let text = "";
  for (const definition of definitions) {
    const { name, help, type } = definition;
    text += `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
    for (const sample of definition.read(source)) text += `${seriesName(name, sample)} ${sample.value}\n`;
  }
  return text;
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeValue(value: string): string {
  return escapeHelp(value).replaceAll('"', '\\"');
}
