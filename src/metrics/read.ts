/** The functions that read the metrics of the calling thread. */
import { readSource } from "./source.ts";
import { definitions, type MetricDescription } from "./table.ts";
import { seriesName, textOf } from "./text.ts";

/** Value of the field Content-Type for `metricsText()`. */
export const metricsContentType = "text/plain; version=0.0.4; charset=utf-8";

/**
 * Returns the numbers of the calling thread, by the names of their series. A name has the labels in
 * braces: `ringloop_http_requests_total{class="2xx"}`. Sets up no ring: before its first use, its
 * numbers are 0.
 *
 * It looks at each open connection, to count their kinds.
 */
export function metrics(): Record<string, number> {
  const source = readSource();
  const numbers: Record<string, number> = {};
  for (const definition of definitions)
    for (const sample of definition.read(source)) numbers[seriesName(definition.name, sample)] = sample.value;
  return numbers;
}

/**
 * Returns the same numbers as Prometheus' text, version 0.0.4, with HELP and TYPE. A response with
 * it has the Content-Type `metricsContentType`.
 */
export function metricsText(): string {
  return textOf(readSource());
}

/** Returns the name, type, unit, meaning and labels of each metric. */
export function describeMetrics(): MetricDescription[] {
  return definitions.map(({ name, type, unit, help, labels }) => ({ name, type, unit, help, labels }));
}
