/** The text of one screen of `ringloop top`. */

export type Rates = Record<string, number>;

/** Returns the growth per second of each counter. A series that was not there began at 0. */
export function rateOf(before: Record<string, number>, now: Record<string, number>, seconds: number): Rates {
  const counters = Object.entries(now).filter(([name]) => /_total(\{|$)/.test(name));
  return Object.fromEntries(counters.map(([name, value]) => [name, (value - (before[name] ?? 0)) / seconds]));
}

/** Rows of counters: the name on the screen, and the series of which it is the sum. */
const rows: readonly [title: string, series: string][] = [
  ["accepts", "ringloop_accepts_total"],
  ["requests", "ringloop_http_requests_total"],
  ["bytes in", "ringloop_received_bytes_total"],
  ["bytes out", "ringloop_sent_bytes_total"],
  ["messages in", "ringloop_websocket_messages_received_total"],
  ["messages out", "ringloop_websocket_messages_sent_total"],
  ["upgrades", "ringloop_websocket_upgrades_total"],
  ["closes", "ringloop_websocket_closes_total"],
  ["datagrams in", "ringloop_datagrams_received_total"],
  ["datagrams out", "ringloop_datagrams_sent_total"],
  ["aborted", "ringloop_http_aborted_requests_total"],
  ["turns", "ringloop_reactor_turns_total"],
  ["enters", "ringloop_reactor_enters_total"],
  ["completions", "ringloop_reactor_completions_total"],
];

/** Counters of which each series has a row of its own, if it is not 0. */
const troubles: readonly string[] = [
  "ringloop_http_refusals_total",
  "ringloop_node_http_refusals_total",
  "ringloop_websocket_violations_total",
  "ringloop_websocket_dropped_frames_total",
  "ringloop_accept_failures_total",
  "ringloop_node_http_dropped_connections_total",
  "ringloop_reactor_overflows_total",
  "ringloop_reactor_buffer_shortages_total",
  "ringloop_reactor_stale_completions_total",
  "ringloop_fallbacks_total",
];

const TITLE_WIDTH = 16;
const NUMBER_WIDTH = 16;

/** Returns the lines of a screen. What needs no attention is left out. */
export function screenOf(metrics: Record<string, number>, rates: Rates): string[] {
  const sum = (of: Record<string, number>, name: string): number =>
    seriesOf(of, name).reduce((total, series) => total + of[series]!, 0);
  const kinds = seriesOf(metrics, "ringloop_connections").map((series) => `${labelOf(series)} ${metrics[series]}`);
  const classes = seriesOf(metrics, "ringloop_http_requests_total")
    .filter((series) => metrics[series]! > 0)
    .map((series) => `${labelOf(series)} ${shown(rates[series]!)}`);
  const counted = rows
    .filter(([, name]) => sum(metrics, name) > 0)
    .map(([title, name]) => rowOf(title, sum(rates, name), sum(metrics, name)));
  const found = troubles
    .flatMap((name) => seriesOf(metrics, name))
    .filter((series) => metrics[series]! > 0)
    .map((series) => `${shown(metrics[series]!).padStart(NUMBER_WIDTH)}  ${series}`);
  const { ringloop_listeners: listeners, ringloop_udp_sockets: udp, ringloop_http_requests_waiting: waiting } = metrics;
  return [
    `${"ring".padEnd(TITLE_WIDTH)}${seriesOf(metrics, "ringloop_info").map(infoOf).join("")}`,
    `${"open".padEnd(TITLE_WIDTH)}${kinds.join("  ")}  listeners ${listeners}  udp ${udp}`,
    `${"waiting".padEnd(TITLE_WIDTH)}${waiting} requests, ${metrics["ringloop_reactor_operations_in_flight"]} operations in flight`,
    `${"per second".padEnd(TITLE_WIDTH)}${classes.join("  ") || "no requests so far"}`,
    "",
    `${"".padEnd(TITLE_WIDTH)}${"per second".padStart(NUMBER_WIDTH)}${"total".padStart(NUMBER_WIDTH)}`,
    ...counted,
    ...(found.length === 0 ? [] : ["", "refused, failed, or on Bun's own:", ...found]),
  ];
}

function seriesOf(of: Record<string, number>, name: string): string[] {
  return Object.keys(of).filter((series) => series === name || series.startsWith(`${name}{`));
}

/** Returns the value of a series' only label. */
function labelOf(series: string): string {
  return /="(.*)"\}$/.exec(series)?.[1] ?? "";
}

function infoOf(series: string): string {
  const label = (name: string): string => new RegExp(`[{,]${name}="([^"]*)"`).exec(series)?.[1] ?? "";
  return `mode ${label("mode")}, ringloop ${label("version")}, Bun ${label("bun")}`;
}

function rowOf(title: string, rate: number, total: number): string {
  return `${title.padEnd(TITLE_WIDTH)}${shown(rate).padStart(NUMBER_WIDTH)}${shown(total).padStart(NUMBER_WIDTH)}`;
}

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });

function shown(value: number): string {
  return (value < 100 ? fine : whole).format(value);
}
