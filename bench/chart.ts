/**
 * Draws docs/charts/ from bench/results/: `bun bench/chart.ts`. Readable on light and dark pages.
 *
 * quick.svg from quick.json; connections.svg (rate, CPU and latency by connections, with the limit in C) and latency.svg (at a fixed rate)
 * from lab.json, io-models.svg from models.json, file-models.svg from files.json.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import * as echarts from "echarts";
import type { Peer } from "./runner/peers.ts";
import type { Result, Results } from "./runner/rates.ts";

const INK = "#7d8590"; // A grey that stands out from white and from black.
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

/** Two panels of bars, each workload's ratio to Bun's own. */
async function drawRatios(rates: Results): Promise<void> {
  const names = Object.keys(rates);
  const peers = ["bun", "defer", "sqpoll"] as const;
  const panels = [
    { title: "Rate, Bun's own = 1", field: "rate" },
    { title: "CPU of each request, Bun's own = 1 (less is better)", field: "cpuUs" },
  ] as const;
  await draw("quick", 1040, 460, {
    legend: legendOf(peers),
    title: panels.map((panel, i) => ({
      text: panel.title,
      left: i === 0 ? 285 : 655,
      textStyle: { color: INK, fontSize: 13 },
    })),
    grid: [
      { left: 285, width: 330, top: 40, bottom: 50 },
      { left: 655, width: 345, top: 40, bottom: 50 },
    ],
    yAxis: panels.map((_, gridIndex) => ({
      type: "category",
      gridIndex,
      inverse: true,
      data: names,
      axisLabel: { show: gridIndex === 0, color: INK },
      axisTick: { show: false },
    })),
    xAxis: panels.map((_, gridIndex) => ({ type: "value", gridIndex, axisLabel: { color: INK }, splitLine })),
    series: panels.flatMap(({ field }, i) =>
      peers.map((peer) => ({
        type: "bar",
        name: looks[peer].label,
        xAxisIndex: i,
        yAxisIndex: i,
        itemStyle: { color: looks[peer].color },
        data: names.map((name) => Number((rates[name]![peer]![field] / rates[name]!.bun![field]).toFixed(2))),
        label: { show: true, position: "right", color: INK, fontSize: 10 },
      })),
    ),
  });
}

/** Lines over the number of connections, for each family of workloads: rate, CPU and latency. */
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

/** Bars on a logarithmic scale: how long answers take at a rate that does not depend on the server. */
async function drawLatency(rates: Results): Promise<void> {
  const names = Object.keys(rates).filter((name) => name.includes("of Bun's rate"));
  const peers = ["bun", "defer", "sqpoll", "c-defer"] as const;
  const percentiles = [
    { title: "p50", field: "p50Us" },
    { title: "p99", field: "p99Us" },
    { title: "p99.9", field: "p999Us" },
  ] as const;
  await draw("latency", 1040, 640, {
    legend: legendOf(peers),
    title: percentiles.map(({ title }, i) => ({
      text: `${title}, milliseconds`,
      left: 210 + i * 285,
      textStyle: { color: INK, fontSize: 13 },
    })),
    grid: percentiles.map((_, i) => ({ left: 210 + i * 285, width: 245, top: 35, bottom: 60 })),
    yAxis: percentiles.map((_, gridIndex) => ({
      type: "category",
      gridIndex,
      inverse: true,
      data: names.map((name) => name.replace(" at ", "\nat ").replace(", ", ",\n")),
      axisLabel: { show: gridIndex === 0, color: INK },
      axisTick: { show: false },
    })),
    xAxis: percentiles.map((_, gridIndex) => ({
      type: "log",
      gridIndex,
      min: 0.01,
      startValue: 0.01,
      axisLabel: { color: INK },
      splitLine,
    })),
    series: percentiles.flatMap(({ field }, i) =>
      peers.map((peer) => ({
        type: "bar",
        name: looks[peer].label,
        xAxisIndex: i,
        yAxisIndex: i,
        itemStyle: { color: looks[peer].color, opacity: looks[peer].dashed ? 0.5 : 1 },
        data: names.map((name) => {
          const result = rates[name]![peer];
          return result ? Number((result[field]! / 1000).toPrecision(2)) : null;
        }),
        label: { show: true, position: "right", color: INK, fontSize: 9 },
      })),
    ),
  });
}

/** What bench/files.ts measures for each subject, with O_DIRECT and from the page cache. */
type FileResults = Record<"direct" | "cached", Record<string, Record<"rate" | "cpuUs" | "p50Us" | "p99Us", number>>>;

/** Bars for each subject: rate, CPU and latency of random reads. */
async function drawFiles(results: FileResults): Promise<void> {
  const names = Object.keys(results.direct);
  const measures = [
    { title: "thousands a second", field: "rate", scale: 1000 },
    { title: "CPU us each", field: "cpuUs", scale: 1 },
    { title: "p99, microseconds", field: "p99Us", scale: 1 },
  ] as const;
  const accesses = [
    { access: "direct", label: "O_DIRECT", color: "#e3653b" },
    { access: "cached", label: "page cache", color: "#2f81f7" },
  ] as const;
  await draw("file-models", 1040, 560, {
    legend: { bottom: 0, itemGap: 24, textStyle: { color: INK }, data: accesses.map(({ label }) => label) },
    title: measures.map(({ title }, i) => ({
      text: title,
      left: 190 + i * 285,
      textStyle: { color: INK, fontSize: 13 },
    })),
    grid: measures.map((_, i) => ({ left: 190 + i * 285, width: 245, top: 35, bottom: 60 })),
    yAxis: measures.map((_, gridIndex) => ({
      type: "category",
      gridIndex,
      inverse: true,
      data: names,
      axisLabel: { show: gridIndex === 0, color: INK },
      axisTick: { show: false },
    })),
    xAxis: measures.map((_, gridIndex) => ({
      type: "log",
      gridIndex,
      min: gridIndex === 0 ? 5 : 1,
      axisLabel: { color: INK },
      splitLine,
    })),
    series: measures.flatMap(({ field, scale }, i) =>
      accesses.map(({ access, label, color }) => ({
        type: "bar",
        name: label,
        xAxisIndex: i,
        yAxisIndex: i,
        itemStyle: { color },
        data: names.map((name) => Number((results[access][name]![field] / scale).toPrecision(3))),
        label: { show: true, position: "right", color: INK, fontSize: 9 },
      })),
    ),
  });
}

const quick = await ratesOf("quick");
if (quick) await drawRatios(quick);
const lab = await ratesOf("lab");
if (lab) {
  await drawConnections("connections", lab, [
    { title: "HTTP hello", pattern: /^HTTP hello by load\.c, (\d+) connections$/ },
    { title: "TCP echo of 64 B", pattern: /^TCP echo 64 B, (\d+) connections$/ },
  ]);
  await drawLatency(lab);
}
const models = await ratesOf("models");
if (models)
  await drawConnections("io-models", models, [
    { title: "TCP echo of 64 B", pattern: /^I\/O models, echo of 64 B, (\d+) connections$/ },
  ]);
const files = await resultsOf<{ results: FileResults }>("files");
if (files) await drawFiles(files.results);
