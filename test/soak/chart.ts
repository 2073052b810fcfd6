/**
 * Draws docs/charts/soak.svg from test/results/soak.json: memory, descriptors and latencies over
 * the time of a soak. The chart is readable on light and dark pages. `bun test/soak/chart.ts` draws
 * it again.
 */
import { join } from "node:path";
import * as echarts from "echarts";
import { type Service, services } from "./content.ts";
import type { Sample, SoakResult } from "./soak.ts";

const INK = "#7d8590"; // A grey with enough contrast to white and to black.
const modes: Record<string, string> = { defer: "#2f81f7", sqpoll: "#e3653b" };
const colors: Record<Service, string> = {
  http: "#d2568c",
  body: "#1b7c83",
  stream: "#57ab5a",
  file: "#bf8700",
  store: "#8957e5",
  node: "#3f9142",
  websocket: "#c93c37",
  tcp: "#6e7781",
  udp: "#d4a5a5",
};
const names: Record<Service, string> = {
  http: "HTTP, small",
  body: "HTTP, bodies",
  stream: "HTTP, streams",
  file: "HTTP, files",
  store: "files written and read",
  node: "node:http",
  websocket: "WebSocket echo",
  tcp: "TCP echo",
  udp: "UDP echo",
};

interface Line {
  name: string;
  color: string;
  of: (sample: Sample) => number | undefined;
  samples: readonly Sample[];
}

/**
 * Draws a row of panels for the server's resources, with a line for each mode. Below it, a panel
 * for each mode shows the p99 of each service.
 */
export async function drawSoak(results: Record<string, SoakResult>): Promise<void> {
  const measured = Object.keys(modes).filter((mode) => results[mode] !== undefined);
  const byMode = (of: Line["of"]): Line[] =>
    measured.map((mode) => ({ name: mode, color: modes[mode]!, of, samples: results[mode]!.samples }));
  const panels: { title: string; lines: Line[]; log?: boolean }[] = [
    { title: "Resident memory, MiB", lines: byMode(({ residentKiB }) => residentKiB / 1024) },
    { title: "JavaScript heap, MiB", lines: byMode(({ heapKiB }) => heapKiB / 1024) },
    { title: "Open descriptors", lines: byMode(({ descriptors }) => descriptors) },
    ...measured.flatMap((mode) =>
      (["p50Ms", "p99Ms"] as const).map((field) => ({
        title: `${field.slice(0, 3)} in ${mode}, ms`,
        log: true,
        lines: services.map((service) => ({
          name: names[service],
          color: colors[service],
          of: ({ seen }: Sample) => seen[service]?.[field],
          samples: results[mode]!.samples,
        })),
      })),
    ),
  ];
  // The first row has three panels, the next rows have two.
  const place = (i: number): { left: number; top: number; width: number } =>
    i < 3
      ? { left: 50 + i * 340, top: 30, width: 290 }
      : { left: 50 + ((i - 3) % 2) * 510, top: 290 + Math.floor((i - 3) / 2) * 260, width: 460 };
  const height = 290 + measured.length * 260 + 40;
  const canvas = echarts.init(null, null, { renderer: "svg", ssr: true, width: 1040, height });
  canvas.setOption({
    animation: false,
    textStyle: { color: INK, fontFamily: "system-ui, sans-serif" },
    legend: { bottom: 0, itemGap: 16, textStyle: { color: INK } },
    title: panels.map(({ title }, i) => ({
      text: title,
      left: place(i).left,
      top: place(i).top - 30,
      textStyle: { color: INK, fontSize: 13 },
    })),
    grid: panels.map((_, i) => ({ ...place(i), height: 180 })),
    xAxis: panels.map((_, gridIndex) => ({
      type: "value",
      gridIndex,
      min: 0,
      max: "dataMax",
      axisLabel: {
        color: INK,
        hideOverlap: true,
        formatter: (minutes: number) => minutes.toFixed(1).replace(".0", ""),
      },
      splitLine: { show: false },
      name: "minutes",
      nameLocation: "middle",
      nameGap: 25,
    })),
    yAxis: panels.map(({ log }, gridIndex) => ({
      type: log ? "log" : "value",
      gridIndex,
      ...(!log && { min: 0 }),
      axisLabel: { color: INK },
      splitLine: { lineStyle: { color: INK, opacity: 0.25 } },
    })),
    series: panels.flatMap(({ lines }, i) =>
      lines.map(({ name, color, of, samples }) => ({
        type: "line",
        name,
        xAxisIndex: i,
        yAxisIndex: i,
        showSymbol: false,
        itemStyle: { color },
        lineStyle: { color, width: 1.5 },
        data: samples
          .map((sample) => [sample.second / 60, of(sample)] as const)
          .filter(([, value]) => value !== undefined)
          .map(([minutes, value]) => [Number(minutes.toFixed(2)), Number(value!.toPrecision(3))]),
      })),
    ),
  });
  await Bun.write(join(import.meta.dir, "../../docs/charts/soak.svg"), canvas.renderToSVGString());
  canvas.dispose();
}

if (import.meta.main) await drawSoak(await Bun.file(join(import.meta.dir, "../results/soak.json")).json());
