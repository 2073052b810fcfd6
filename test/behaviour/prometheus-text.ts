/**
 * A strict reader of Prometheus' text form, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). It shares no code with ringloop.
 *
 * It throws for everything that the form or Prometheus' conventions of names do not allow, and also
 * for what is allowed and useless here: comments, timestamps, families without HELP or TYPE.
 */
export interface Family {
  name: string;
  type: string;
  help: string;
  /** Values by their labels, as [name, value] pairs. */
  samples: { labels: [name: string, value: string][]; value: number }[];
}

const NAME = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/;
const VALUE = /^(?:[+-]?Inf|NaN|[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/;

function unescape(text: string, quotes: boolean): string {
  return text.replaceAll(/\\(.?)/g, (all, character: string) => {
    if (character === "n") return "\n";
    if (character === "\\" || (quotes && character === '"')) return character;
    throw new Error(`${all} is no escape`);
  });
}

/** Reads the labels of a sample, from the opening brace on. Returns them and the rest of the line. */
function readLabels(line: string): { labels: [string, string][]; rest: string } {
  const labels: [string, string][] = [];
  for (let rest = line.slice(1); ;) {
    const [all, name, value] = /^([a-z_]+)="((?:[^"\\]|\\.)*)"/.exec(rest) ?? [];
    if (all === undefined || !NAME.test(name!)) throw new Error(`no label: ${rest}`);
    if (labels.some(([earlier]) => earlier === name)) throw new Error(`the label ${name} is there twice`);
    labels.push([name!, unescape(value!, true)]);
    rest = rest.slice(all.length);
    if (rest.startsWith("} ")) return { labels, rest: rest.slice(1) };
    if (!rest.startsWith(",")) throw new Error(`no end of a label: ${rest}`);
    rest = rest.slice(1);
  }
}

export function readPrometheusText(text: string): Family[] {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const families: Family[] = [];
  const seen = new Set<string>();
  const lines = text.slice(0, -1).split("\n");
  for (let at = 0; at < lines.length;) {
    const [, name, help] = /^# HELP (\w+) (\S.*)$/.exec(lines[at]!) ?? [];
    const [, typed, type] = /^# TYPE (\w+) (counter|gauge)$/.exec(lines[at + 1] ?? "") ?? [];
    if (name === undefined || typed !== name) throw new Error(`no HELP and TYPE: ${lines[at]}, ${lines[at + 1]}`);
    if (!NAME.test(name) || families.some((family) => family.name === name)) throw new Error(`the name ${name}`);
    if ((type === "counter") !== name.endsWith("_total")) throw new Error(`${name} is a ${type}`);
    const family: Family = { name, type: type!, help: unescape(help!, false), samples: [] };
    families.push(family);
    for (at += 2; at < lines.length && !lines[at]!.startsWith("#"); at++) {
      const line = lines[at]!;
      if (!line.startsWith(name)) throw new Error(`not a sample of ${name}: ${line}`);
      const after = line.slice(name.length);
      const { labels, rest } = after.startsWith("{") ? readLabels(after) : { labels: [], rest: after };
      if (!rest.startsWith(" ") || !VALUE.test(rest.slice(1))) throw new Error(`no value: ${line}`);
      const key = JSON.stringify([name, labels]);
      if (seen.has(key)) throw new Error(`a series is there twice: ${line}`);
      seen.add(key);
      family.samples.push({ labels, value: Number(rest.slice(1)) });
    }
  }
  return families;
}

/** Returns all values by name and labels, such as `up{job="a"}`, with labels as they are. */
export function valuesOf(families: readonly Family[]): Record<string, number> {
  const named = families.flatMap(({ name, samples }) =>
    samples.map(({ labels, value }): [string, number] => {
      const inside = labels.map(([label, text]) => `${label}=${JSON.stringify(text)}`).join(",");
      return [inside === "" ? name : `${name}{${inside}}`, value];
    }),
  );
  return Object.fromEntries(named);
}
