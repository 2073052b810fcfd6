/** All metrics: their names, types, units and meanings, and how each is read. */
import { readFileSync } from "node:fs";
import { connectionKinds } from "../reactor/op-table.ts";
import type { ReactorStats } from "../reactor/options.ts";
import { type CountsByName, refusalReasons } from "../reactor/traffic.ts";
import { packageFile } from "../sys/library-places.ts";
import type { Source } from "./source.ts";

/** What a metric is. */
export interface MetricDescription {
  /** The name, by the conventions of Prometheus: with the unit, and `_total` for a counter. */
  name: string;
  /** A counter only grows, from 0 at the start of the thread. A gauge is a current value. */
  type: "counter" | "gauge";
  /** What the number counts, in the plural. */
  unit: string;
  /** The meaning, in one sentence. */
  help: string;
  /** Names of the labels. */
  labels: readonly string[];
}

export interface Sample {
  labels: Record<string, string>;
  value: number;
}

export interface Definition extends MetricDescription {
  read(source: Source): Sample[];
}

function single(
  type: MetricDescription["type"],
  name: string,
  unit: string,
  help: string,
  read: (source: Source) => number,
): Definition {
  return { name, type, unit, help, labels: [], read: (source) => [{ labels: {}, value: read(source) }] };
}

/** Defines a metric with one label. `read` returns the numbers by the label's value. */
function byLabel(
  type: MetricDescription["type"],
  name: string,
  unit: string,
  help: string,
  label: string,
  read: (source: Source) => CountsByName,
): Definition {
  const samples = (counts: CountsByName): Sample[] =>
    Object.entries(counts).map(([key, value]) => ({ labels: { [label]: key }, value }));
  return { name, type, unit, help, labels: [label], read: (source) => samples(read(source)) };
}

/** Adds the names that were not counted yet, with 0. So a dashboard knows them from the start. */
const withZeros = (names: readonly (string | number)[], counts: CountsByName): CountsByName => ({
  ...Object.fromEntries(names.map((name) => [name, 0])),
  ...counts,
});

function ofReactor(
  type: MetricDescription["type"],
  name: string,
  unit: string,
  field: keyof ReactorStats,
  help: string,
): Definition {
  return single(type, `ringloop_reactor_${name}`, unit, help, ({ stats }) => stats?.[field] ?? 0);
}

const refusals = Object.entries(refusalReasons).flatMap(([status, reasons]) =>
  reasons.map((reason) => `${status} ${reason}`),
);
const violationCodes = [1002, 1007, 1009];

export const definitions: readonly Definition[] = [
  {
    name: "ringloop_info",
    type: "gauge",
    unit: "always 1",
    help: "Versions of ringloop and Bun, and the mode of the ring (none before its first use).",
    labels: ["version", "bun", "mode"],
    read: ({ mode }) => [{ labels: { version: version(), bun: Bun.version, mode }, value: 1 }],
  },
  byLabel(
    "gauge",
    "ringloop_connections",
    "connections",
    "Open stream connections, by what they carry.",
    "kind",
    ({ open }) => Object.fromEntries(connectionKinds.map((kind) => [kind, open[kind]])),
  ),
  single("gauge", "ringloop_listeners", "sockets", "Sockets that listen.", ({ open }) => open.listener),
  single("gauge", "ringloop_udp_sockets", "sockets", "Open UDP sockets.", ({ open }) => open.udp),
  single(
    "counter",
    "ringloop_accepts_total",
    "connections",
    "Accepted connections.",
    (source) => source.traffic.accepts,
  ),
  byLabel(
    "counter",
    "ringloop_accept_failures_total",
    "accepts",
    "Accepts that failed, by the lack of descriptors or memory, or by the loss of the connection.",
    "reason",
    ({ traffic }) => ({
      descriptors: traffic.acceptsWithoutDescriptor,
      memory: traffic.acceptsWithoutMemory,
      lost: traffic.acceptsLost,
    }),
  ),
  byLabel(
    "counter",
    "ringloop_node_http_dropped_connections_total",
    "connections",
    "Connections that servers of node:http have closed at once, by maxConnections or blockList.",
    "reason",
    ({ traffic }) => ({
      max_connections: traffic.connectionsOverMaximum,
      block_list: traffic.connectionsOnBlockList,
    }),
  ),
  single(
    "counter",
    "ringloop_connects_total",
    "connections",
    "Connections that connect and connectStream have opened.",
    ({ traffic }) => traffic.connects,
  ),
  byLabel(
    "counter",
    "ringloop_received_bytes_total",
    "bytes",
    "Bytes received from stream connections, and payloads of datagrams.",
    "transport",
    ({ traffic }) => ({ stream: traffic.receivedBytes, datagram: traffic.datagramBytesReceived }),
  ),
  byLabel(
    "counter",
    "ringloop_sent_bytes_total",
    "bytes",
    "Bytes that the kernel has accepted for stream connections, and payloads of datagrams.",
    "transport",
    ({ traffic }) => ({ stream: traffic.sentBytes, datagram: traffic.datagramBytesSent }),
  ),
  single("counter", "ringloop_datagrams_received_total", "datagrams", "Received datagrams.", (source) => {
    return source.traffic.datagramsReceived;
  }),
  single("counter", "ringloop_datagrams_sent_total", "datagrams", "Sent datagrams.", (source) => {
    return source.traffic.datagramsSent;
  }),
  byLabel(
    "counter",
    "ringloop_http_requests_total",
    "requests",
    "HTTP requests, by the class of the status of their answer, counted when its head is written.",
    "class",
    ({ traffic }) => ({
      "1xx": traffic.answers1xx,
      "2xx": traffic.answers2xx,
      "3xx": traffic.answers3xx,
      "4xx": traffic.answers4xx,
      "5xx": traffic.answers5xx,
      other: traffic.answersOther,
    }),
  ),
  single(
    "gauge",
    "ringloop_http_requests_waiting",
    "requests",
    "HTTP requests that are whole and wait for the program's answer.",
    ({ pendingExchanges }) => pendingExchanges,
  ),
  single(
    "counter",
    "ringloop_http_aborted_requests_total",
    "requests",
    "HTTP requests that a handler had, and that ended before their answer was whole.",
    ({ traffic }) => traffic.requestsAborted,
  ),
  {
    name: "ringloop_http_refusals_total",
    type: "counter",
    unit: "requests",
    help: "HTTP requests that serve has refused itself, by the status of the answer and what was wrong.",
    labels: ["status", "reason"],
    read: ({ traffic }) =>
      Object.entries(withZeros(refusals, traffic.refusals)).map(([refusal, value]) => {
        const [status, reason] = refusal.split(" ");
        return { labels: { status: status!, reason: reason! }, value };
      }),
  },
  byLabel(
    "counter",
    "ringloop_node_http_refusals_total",
    "requests",
    "Requests that node:http got as a clientError, by Node's code; MISSING_HOST is a lack of Host.",
    "code",
    ({ traffic }) => traffic.nodeRefusals,
  ),
  single(
    "counter",
    "ringloop_websocket_upgrades_total",
    "sockets",
    "Requests that became WebSockets by upgrade.",
    ({ traffic }) => traffic.upgrades,
  ),
  single(
    "counter",
    "ringloop_websocket_messages_received_total",
    "messages",
    "Whole text and binary messages from clients.",
    ({ traffic }) => traffic.messagesReceived,
  ),
  single(
    "counter",
    "ringloop_websocket_messages_sent_total",
    "messages",
    "Text and binary messages that were queued, each subscriber of a publish counted.",
    ({ traffic }) => traffic.messagesSent,
  ),
  single(
    "counter",
    "ringloop_websocket_dropped_frames_total",
    "frames",
    "Messages and control frames that were not sent, because backpressureLimit was reached.",
    ({ traffic }) => traffic.messagesDropped,
  ),
  byLabel(
    "counter",
    "ringloop_websocket_closes_total",
    "sockets",
    "WebSockets that have ended, by the code that the handler close gets; 3xxx and 4xxx are thousands.",
    "code",
    ({ traffic }) => traffic.closes,
  ),
  byLabel(
    "counter",
    "ringloop_websocket_violations_total",
    "sockets",
    "WebSockets that ended because the client broke the protocol or a limit, by the code that it gets.",
    "code",
    ({ traffic }) => withZeros(violationCodes, traffic.violations),
  ),
  {
    name: "ringloop_fallbacks_total",
    type: "counter",
    unit: "calls",
    help: "Calls that Bun's own functions serve, by function or module, and by the reason.",
    labels: ["function", "reason"],
    read: ({ fallbacks }) =>
      fallbacks.map(({ what, reason, calls }) => ({ labels: { function: what, reason }, value: calls })),
  },
  ofReactor("counter", "enters_total", "calls", "enters", "Calls of io_uring_enter(2)."),
  ofReactor("counter", "submissions_total", "entries", "sqes", "Submission entries."),
  ofReactor("counter", "completions_total", "completions", "cqes", "Completions that were delivered."),
  ofReactor("counter", "turns_total", "turns", "turns", "Turns of the event loop."),
  ofReactor("counter", "parks_total", "parks", "parks", "Times that the reactor has parked for lack of work."),
  ofReactor("counter", "wakeups_total", "wakeups", "wakeups", "Times that the ring has woken a parked reactor."),
  ofReactor(
    "counter",
    "overflows_total",
    "submissions",
    "overflows",
    "Submissions at which the completion queue was full and completions waited in the kernel.",
  ),
  ofReactor("counter", "buffer_shortages_total", "receives", "enobufs", "Receives that found no buffer (ENOBUFS)."),
  ofReactor("counter", "rearms_total", "operations", "rearms", "Multishot operations that ended and were armed again."),
  ofReactor("counter", "short_sends_total", "sends", "shortSends", "Sends of which the kernel took only a part."),
  ofReactor(
    "counter",
    "stale_completions_total",
    "completions",
    "staleCompletions",
    "Completions that belonged to nobody; more than 0 means that something is wrong.",
  ),
  ofReactor("gauge", "operations_in_flight", "operations", "operationsInFlight", "Operations in flight."),
  ofReactor("gauge", "slots", "slots", "slotsInUse", "Slots in use: connections, listeners and other owners."),
  ofReactor("gauge", "send_memory_bytes", "bytes", "sendBytesInUse", "Memory in use for sending."),
  ofReactor(
    "gauge",
    "receive_buffers_available",
    "buffers",
    "receiveBuffersAvailable",
    "Receive buffers that the kernel can fill.",
  ),
];

let known: string | undefined;

/** Returns the version of the package; `bundled` in a bundle, which has no package.json. */
function version(): string {
  if (known !== undefined) return known;
  try {
    known = (JSON.parse(readFileSync(packageFile("package.json"), "utf8")) as { version: string }).version;
  } catch {
    known = "bundled";
  }
  return known;
}
