/** Draws docs/charts/quick.svg from bench/results/quick.json: `bun bench/chart.ts`. Readable on light and dark pages. */
import { join } from "node:path";
import * as echarts from "echarts";

interface Report {
  machine: { cpu: string; cores: number; kernel: string; bun: string };
  rates: Record<string, Record<"bun" | "defer" | "sqpoll", { rate: number; cpuUs: number }>>;
}

const report = (await Bun.file(join(import.meta.dir, "results/quick.json")).json()) as Report;
const names = Object.keys(report.rates);
const ink = "#7d8590"; // A grey that stands out from white and from black.
const colors = { bun: "#9aa4b2", defer: "#2f81f7", sqpoll: "#e3653b" };
const labels = { bun: "Bun's own", defer: "ringloop defer", sqpoll: "ringloop sqpoll" };
const subjects = ["bun", "defer", "sqpoll"] as const;

const panels = [
  { title: "Rate, Bun's own = 1", field: "rate" },
  { title: "CPU of each request, Bun's own = 1 (less is better)", field: "cpuUs" },
] as const;

const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: 1040, height: 430 });
chart.setOption({
  animation: false,
  textStyle: { color: ink, fontFamily: "system-ui, sans-serif" },
  legend: { bottom: 0, itemGap: 40, textStyle: { color: ink }, data: Object.values(labels) },
  title: panels.map(({ title }, i) => ({
    text: title,
    left: i === 0 ? 285 : 655,
    textStyle: { color: ink, fontSize: 13 },
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
    axisLabel: { show: gridIndex === 0, color: ink },
    axisTick: { show: false },
  })),
  xAxis: panels.map((_, gridIndex) => ({
    type: "value",
    gridIndex,
    axisLabel: { color: ink },
    splitLine: { lineStyle: { color: ink, opacity: 0.25 } },
  })),
  series: panels.flatMap(({ field }, i) =>
    subjects.map((subject) => ({
      type: "bar",
      name: labels[subject],
      xAxisIndex: i,
      yAxisIndex: i,
      itemStyle: { color: colors[subject] },
      data: names.map((name) =>
        Number((report.rates[name]![subject][field] / report.rates[name]!.bun[field]).toFixed(2)),
      ),
      label: { show: true, position: "right", color: ink, fontSize: 10 },
    })),
  ),
});
await Bun.write(join(import.meta.dir, "../docs/charts/quick.svg"), chart.renderToSVGString());
chart.dispose();
