/**
 * `ringloop/metrics`: counters and current values of a thread's servers, sockets and ring, as
 * numbers and as Prometheus' text.
 *
 * They are those of the calling thread: each Worker has its own reactor and its own metrics.
 * docs/metrics.md has the table of all names.
 *
 * @module ringloop/metrics
 */
export type { MetricDescription } from "./table.ts";
export { describeMetrics, metrics, metricsContentType, metricsText } from "./read.ts";
export { type ExposeOptions, exposeMetrics, type MetricsEndpoint } from "./endpoint.ts";
