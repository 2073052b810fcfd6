/**
 * Draws docs/charts/ from bench/results/: `bun bench/chart.ts`. The charts are readable on light
 * and dark pages.
 *
 * - quick.svg from quick.json.
 * - apps.svg (handlers that wait, 16 connections) from apps.json.
 * - connections.svg (rate, CPU and latency by connections, with the limit in C) and latency.svg (at
 *   a fixed rate) from lab.json.
 * - io-models.svg from models.json.
 * - file-models.svg from files.json.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import * as echarts from "echarts";
import type { Peer } from "./runner/peers.ts";
import type { Result, Results } from "./runner/rates.ts";

const INK = "#7d8590"; // A grey that is visible on white and on black.
const looks: Record<Peer, { label: string; color: string; dashed?: boolean }> = {
  bun: { label: "Bun's own", color: "#9aa4b2" },
  defer: { label: "ringloop defer", color: "#2f81f7" },
  sqpoll: { label: "ringloop sqpoll", color: "#e3653b" },
  node: { label: "Node's own", color: "#57ab5a" },
  "c-epoll": { label: "C, epoll", color: "#9aa4b2", dashed: true },
  "c-defer": { label: "C, io_uring defer", color: "#2f81f7", dashed: true },
  "c-sqpoll": { label: "C, io_uring sqpoll", color: "#e3653b", dashed: true },
  "c-threads": { label: "C, a thread each", color: "#8957e5" },
  "c-spin": { label: "C, spinning", color: "#bf8700" },
  "c-select": { label: "C, select", color: "#d4a5a5" },
  "c-poll": { label: "C, poll", color: "#c9510c" },
  "c-sigio": { label: "C, SIGIO", color: "#1b7c83" },
};

const text = { color: INK, fontFamily: "system-ui, sans-serif" };
const splitLine = { lineStyle: { color: INK, opacity: 0.25 } };

async function resultsOf<T>(name: string): Promise<T | undefined> {
  const file = join(import.meta.dir, "results", `${name}.json`);
  return existsSync(file) ? ((await Bun.file(file).json()) as T) : undefined;
}
const ratesOf = async (name: string): Promise<Results | undefined> =>
  (await resultsOf<{ rates: Results }>(name))?.rates;

async function draw(name: string, width: number, height: number, option: object): Promise<void> {
  const canvas = echarts.init(null, null, { renderer: "svg", ssr: true, width, height });
  canvas.setOption({ animation: false, textStyle: text, ...option });
  await Bun.write(join(import.meta.dir, "../docs/charts", `${name}.svg`), canvas.renderToSVGString());
  canvas.dispose();
}

const legendOf = (peers: readonly Peer[]): object => ({
  bottom: 0,
  itemGap: 24,
  textStyle: { color: INK },
  data: peers.map((peer) => looks[peer].label),
});

interface Bars {
  height: number;
  /** Left edge of the first panel. It leaves room for the names of the rows. */
  left: number;
  width: number;
  gap: number;
  rows: readonly string[];
  panels: readonly { title: string; axis: { type: "value" | "log"; min?: number } }[];
  series: readonly { label: string; color: string; opacity?: number }[];
  /** NaN for a missing value. */
  value(panel: number, series: number, row: number): number;
}

/** Draws panels of horizontal bars with their figures, side by side. */
async function drawBars(chart: string, bars: Bars): Promise<void> {
  const { height, left, width, gap, rows, panels, series } = bars;
  await draw(chart, 1040, height, {
    legend: { bottom: 0, itemGap: 24, textStyle: { color: INK }, data: series.map(({ label }) => label) },
    title: panels.map(({ title }, i) => ({
      text: title,
      left: left + i * (width + gap),
      textStyle: { color: INK, fontSize: 13 },
    })),
    grid: panels.map((_, i) => ({ left: left + i * (width + gap), width, top: 40, bottom: 60 })),
    yAxis: panels.map((_, gridIndex) => ({
      type: "category",
      gridIndex,
      inverse: true,
      data: rows,
      axisLabel: { show: gridIndex === 0, color: INK },
      axisTick: { show: false },
    })),
    xAxis: panels.map(({ axis }, gridIndex) => ({
      ...axis,
      ...(axis.min !== undefined && { startValue: axis.min }),
      gridIndex,
      axisLabel: { color: INK },
      splitLine,
    })),
    series: panels.flatMap((_, i) =>
      series.map(({ label, color, opacity = 1 }, k) => ({
        type: "bar",
        name: label,
        xAxisIndex: i,
        yAxisIndex: i,
        itemStyle: { color, opacity },
        data: rows.map((_row, row) => {
          const value = bars.value(i, k, row);
          return Number.isNaN(value) ? null : Number(value.toPrecision(3));
        }),
        label: { show: true, position: "right", color: INK, fontSize: 9 },
      })),
    ),
  });
}

const seriesOf = (peers: readonly Peer[]): Bars["series"] =>
  peers.map((peer) => ({
    label: looks[peer].label,
    color: looks[peer].color,
    opacity: looks[peer].dashed ? 0.5 : 1,
  }));

/** Draws each workload's ratio to Bun's own. */
async function drawRatios(chart: string, rates: Results): Promise<void> {
  const names = Object.keys(rates);
  const peers = ["bun", "defer", "sqpoll"] as const;
  const fields = ["rate", "cpuUs"] as const;
  await drawBars(chart, {
    height: 110 + names.length * 33,
    left: 285,
    width: 330,
    gap: 40,
    rows: names,
    panels: [
      { title: "Rate, Bun's own = 1", axis: { type: "value" } },
      { title: "CPU of each request, Bun's own = 1 (less is better)", axis: { type: "value" } },
    ],
    series: seriesOf(peers),
    value(panel, series, row) {
      const byPeer = rates[names[row]!]!;
      return byPeer[peers[series]!]![fields[panel]!] / byPeer.bun![fields[panel]!];
    },
  });
}

/**
 * Draws lines over the number of connections for each family of workloads: rate, CPU and latency.
 */
async function drawConnections(
  chart: string,
  rates: Results,
  families: { title: string; pattern: RegExp }[],
): Promise<void> {
  const measures = [
    { title: "thousands a second", type: "value", of: ({ rate }: Result) => rate / 1000 },
    { title: "CPU us each, whole process", type: "log", of: ({ cpuUs }: Result) => cpuUs },
    { title: "p99, milliseconds", type: "log", of: ({ p99Us }: Result) => p99Us / 1000 },
  ];
  const left = (i: number): number => 60 + (i % measures.length) * 345;
  const top = (i: number): number => 320 * Math.floor(i / measures.length);
  const measured = new Set(Object.values(rates).flatMap((byPeer) => Object.keys(byPeer)));
  const peers = (Object.keys(looks) as Peer[]).filter((peer) => measured.has(peer));
  const panels = families.flatMap((family) => measures.map((measure) => ({ family, measure })));
  const sweeps = families.map(({ pattern }) =>
    Object.keys(rates)
      .map((name) => ({ name, connections: Number(pattern.exec(name)?.[1]) }))
      .filter(({ connections }) => connections > 0)
      .toSorted((a, b) => a.connections - b.connections),
  );
  await draw(chart, 1040, 90 + 320 * families.length, {
    legend: legendOf(peers),
    title: panels.map(({ family, measure }, i) => ({
      text: `${family.title}: ${measure.title}`,
      left: left(i) - 30,
      top: top(i),
      textStyle: { color: INK, fontSize: 12 },
    })),
    grid: panels.map((_, i) => ({ left: left(i), width: 275, top: top(i) + 35, height: 235 })),
    xAxis: panels.map((_, gridIndex) => ({
      type: "category",
      gridIndex,
      data: sweeps[Math.floor(gridIndex / measures.length)]!.map(({ connections }) => connections.toLocaleString("en")),
      axisLabel: { color: INK },
      name: gridIndex >= panels.length - measures.length ? "connections" : "",
      nameLocation: "middle",
      nameGap: 25,
    })),
    yAxis: panels.map(({ measure: { type } }, gridIndex) => ({
      type,
      gridIndex,
      ...(type === "value" && { min: 0 }),
      axisLabel: { color: INK },
      splitLine,
    })),
    series: panels.flatMap(({ measure }, i) =>
      peers.map((peer) => ({
        type: "line",
        name: looks[peer].label,
        xAxisIndex: i,
        yAxisIndex: i,
        symbolSize: 6,
        itemStyle: { color: looks[peer].color },
        lineStyle: { color: looks[peer].color, type: looks[peer].dashed ? "dashed" : "solid" },
        data: sweeps[Math.floor(i / measures.length)]!.map(({ name }) => {
          const result = rates[name]![peer];
          return result ? Number(measure.of(result).toPrecision(3)) : null;
        }),
      })),
    ),
  });
}

/** Draws the latency at a rate that does not depend on the server. */
async function drawLatency(rates: Results): Promise<void> {
  const names = Object.keys(rates).filter((name) => name.includes("of Bun's rate"));
  const peers = ["bun", "defer", "sqpoll", "c-defer"] as const;
  const fields = ["p50Us", "p99Us", "p999Us"] as const;
  const axis = { type: "log", min: 0.01 } as const;
  await drawBars("latency", {
    height: 640,
    left: 210,
    width: 245,
    gap: 40,
    rows: names.map((name) => name.replace(" at ", "\nat ").replace(", ", ",\n")),
    panels: ["p50", "p99", "p99.9"].map((percentile) => ({ title: `${percentile}, milliseconds`, axis })),
    series: seriesOf(peers),
    value: (panel, series, row) => (rates[names[row]!]![peers[series]!]?.[fields[panel]!] ?? Number.NaN) / 1000,
  });
}

/** Results of bench/files.ts for each subject, with O_DIRECT and from the page cache. */
type FileResults = Record<"direct" | "cached", Record<string, Record<"rate" | "cpuUs" | "p50Us" | "p99Us", number>>>;

async function drawFiles(results: FileResults): Promise<void> {
  const rows = Object.keys(results.direct);
  const fields = ["rate", "cpuUs", "p99Us"] as const;
  const accesses = ["direct", "cached"] as const;
  await drawBars("file-models", {
    height: 560,
    left: 190,
    width: 245,
    gap: 40,
    rows,
    panels: [
      { title: "thousands a second", axis: { type: "log", min: 5 } },
      { title: "CPU us each", axis: { type: "log", min: 0.5 } },
      { title: "p99, milliseconds", axis: { type: "log", min: 0.001 } },
    ],
    series: [
      { label: "O_DIRECT", color: "#e3653b" },
      { label: "page cache", color: "#2f81f7" },
    ],
    value(panel, series, row) {
      const value = results[accesses[series]!][rows[row]!]![fields[panel]!];
      return panel === 1 ? value : value / 1000;
    },
  });
}

/**
 * Returns the results of handlers that wait, with 16 connections, without that number in the
 * titles.
 */
function at16Connections(rates: Results): Results {
  const end = ", 16 connections";
  const chosen = Object.entries(rates).filter(([title]) => title.endsWith(end));
  return Object.fromEntries(chosen.map(([title, byPeer]) => [title.slice(0, -end.length), byPeer]));
}

const quick = await ratesOf("quick");
if (quick) await drawRatios("quick", quick);
const apps = await ratesOf("apps");
if (apps) await drawRatios("apps", at16Connections(apps));
const lab = await ratesOf("lab");
if (lab) {
  await drawConnections("connections", lab, [
    { title: "HTTP hello", pattern: /^HTTP hello by load\.c, (\d+) connections?$/ },
    { title: "TCP echo of 64 B", pattern: /^TCP echo 64 B, (\d+) connections?$/ },
  ]);
  await drawLatency(lab);
}
const models = await ratesOf("models");
if (models)
  await drawConnections("io-models", models, [
    { title: "TCP echo of 64 B", pattern: /^I\/O models, echo of 64 B, (\d+) connections?$/ },
  ]);
const files = await resultsOf<{ results: FileResults }>("files");
if (files) await drawFiles(files.results);
