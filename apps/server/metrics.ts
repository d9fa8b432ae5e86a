/** Values of labels, by name. */
export type MetricLabels = Readonly<Record<string, string>>;

type MetricType = "counter" | "gauge" | "histogram";

interface Family {
  readonly type: MetricType;
  readonly help: string;
  readonly samples: Map<string, number>;
}

/** Upper limits of the buckets of a histogram of durations, in seconds, as OpenTelemetry recommends for HTTP. */
const bucketsSeconds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10] as const;

/**
 * Metrics in Prometheus's text format.
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */
export class Metrics {
  readonly #families = new Map<string, Family>();
  readonly #collectors: (() => void)[] = [];

  /** Declares a metric. */
  declare(name: string, type: MetricType, help: string): void {
    this.#families.set(name, { type, help, samples: new Map() });
  }

  /** Calls a function before each scrape, to set gauges. */
  collect(collector: () => void): void {
    this.#collectors.push(collector);
  }

  /** Adds to a counter. */
  add(name: string, labels: MetricLabels, amount = 1): void {
    const { samples } = this.#families.get(name)!;
    const key = name + labelText(labels);
    samples.set(key, (samples.get(key) ?? 0) + amount);
  }

  /** Sets a gauge. */
  set(name: string, labels: MetricLabels, value: number): void {
    this.#families.get(name)!.samples.set(name + labelText(labels), value);
  }

  /** Counts a duration in a histogram. */
  observe(name: string, labels: MetricLabels, seconds: number): void {
    const { samples } = this.#families.get(name)!;
    const raise = (key: string, by: number) => samples.set(key, (samples.get(key) ?? 0) + by);
    const text = labelText(labels);
    // Rendered once: this runs for every request.
    const bucket = text === "" ? `${name}_bucket{` : `${name}_bucket${text.slice(0, -1)},`;
    for (const limit of bucketsSeconds) raise(`${bucket}le="${limit}"}`, seconds <= limit ? 1 : 0);
    raise(`${bucket}le="+Inf"}`, 1);
    raise(`${name}_sum${text}`, seconds);
    raise(`${name}_count${text}`, 1);
  }

  /** Removes the samples whose labels include these. */
  forget(labels: MetricLabels): void {
    const wanted = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
    for (const { samples } of this.#families.values()) {
      for (const key of samples.keys()) if (wanted.every((each) => key.includes(each))) samples.delete(key);
    }
  }

  /** All metrics as text, version 0.0.4 of the format. */
  text(): string {
    for (const collector of this.#collectors) collector();
    const lines = [...this.#families].flatMap(([name, { type, help, samples }]) => [
      `# HELP ${name} ${help}`,
      `# TYPE ${name} ${type}`,
      ...[...samples].map(([key, value]) => `${key} ${value}`),
    ]);
    return `${lines.join("\n")}\n`;
  }
}

function labelText(labels: MetricLabels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
