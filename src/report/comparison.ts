import { csvText } from "../base/csv.ts";
import type { EpochRecord } from "../base/records.ts";
import { accuracyInterval, type Interval, mcNemarTest, mean, meanWithInterval } from "../base/significance.ts";
import { type ComparedMetric, comparisonChart } from "./charts/comparison-charts.ts";
import { type NetworkSizes, sizesTable } from "./cost.ts";
import {
  chart,
  type Fact,
  type Headline,
  numberColumn,
  paragraph,
  type ReportDocument,
  type Row,
  type Section,
  section,
  type TableColumn,
  table,
} from "./document.ts";
import { counted, formatDuration, formatNumber, formatPercent, withCommas } from "./numbers.ts";
import { type PaperClaim, paperConditions, paperTables } from "./paper.ts";
import { toText } from "./text.ts";

/** Networks trained under the same conditions; plain data, also `comparison.json`. */
export interface Comparison {
  /** The budget that was equal: `epochs`, `parameters`, `multiplications` or `seconds`. */
  readonly match: string;
  readonly networks: readonly ComparedNetwork[];
  /** Images, settings and machine. */
  readonly setup: readonly Fact[];
  /** Command line that repeats the comparison. */
  readonly command: string;
  /** The paper's findings that these networks can be compared with. */
  readonly claims: readonly PaperClaim[];
}

/** A network of a comparison. */
export interface ComparedNetwork extends NetworkSizes {
  /** As named on the command line, e.g. `xception --no-residual`. */
  readonly name: string;
  readonly epochs: number;
  /** Images in a training step. */
  readonly batchSize: number;
  /** Time to classify one image, in milliseconds; undefined before it is measured. */
  readonly latencyMs?: number | undefined;
  /** One for each seed that has been trained. */
  readonly runs: readonly ComparedRun[];
}

/** A training run of a comparison, and its test. */
export interface ComparedRun {
  readonly seed: number;
  /** Folder of the run. */
  readonly folder: string;
  readonly history: readonly EpochRecord[];
  readonly steps: number;
  readonly images: number;
  readonly top1: number;
  readonly top5: number;
  readonly loss: number;
  /** For each test image, in the order of their names: classified correctly. */
  readonly correct: readonly boolean[];
}

/** Below this probability of chance alone, a difference is called significant. */
const significance = 0.05;

/** Describes a comparison. */
export function comparisonDocument(comparison: Comparison): ReportDocument {
  const networks = comparison.networks.filter(({ runs }) => runs.length > 0);
  const best = networks.toSorted((a, b) => accuracyOf(b).mean - accuracyOf(a).mean)[0];
  const title = comparison.networks.map(({ name }) => name).join(" against ");
  const seeds = Math.min(...comparison.networks.map(({ runs }) => runs.length));
  return {
    kind: "Comparison",
    title,
    summary:
      "Every network was trained on the same images in the same order, with the same augmentation and settings. The test " +
      "images were not used for training, and nothing was chosen by them: the weights are those of the last epoch.",
    headlines: best ? headlinesOf(best, networks, seeds) : [],
    sections: [
      resultSection(networks),
      curvesSection(networks),
      pairsSection(networks),
      claimsSection(comparison, networks),
      paperSection(comparison),
      section("reproduce", "How to reproduce it", { type: "code", lines: [`${comparison.command} -o comparison`] }),
    ],
  };
}

/** Describes the result of a comparison in plain text, without the paper's tables. */
export function describeComparison(comparison: Comparison, options: { readonly width?: number } = {}): string {
  const { kind: _, ...document } = comparisonDocument(comparison);
  const shown = ["result", "pairs", "findings"];
  return toText(
    { ...document, sections: document.sections.filter((each) => each && shown.includes(each.id)) },
    options,
  );
}

/** Writes `comparison.csv`: a line for each network and seed. */
export function comparisonCsv({ networks }: Comparison): string {
  const header = ["network", "seed", "parameters", "macs", "flops", "activations", "epochs", "steps", "seconds"];
  return csvText([
    [...header, "images_per_second", "test_images", "test_accuracy", "test_top5", "test_loss"],
    ...networks.flatMap((network) => network.runs.map((run) => csvRow(network, run))),
  ]);
}

function csvRow(network: ComparedNetwork, run: ComparedRun) {
  const { name, parameters, multiplications, activations } = network;
  const { seed, history, steps, images, top1, top5, loss } = run;
  const sizes = [parameters, multiplications, 2 * multiplications, activations];
  return [name, seed, ...sizes, history.length, steps, secondsOf(run), imagesPerSecond(run), images, top1, top5, loss];
}

function headlinesOf(best: ComparedNetwork, networks: readonly ComparedNetwork[], seeds: number): readonly Headline[] {
  const { mean, interval } = accuracyOf(best);
  const names = networks.filter((network) => accuracyOf(network).mean === mean).map(({ name }) => name);
  const seconds = networks.flatMap(({ runs }) => runs).reduce((sum, run) => sum + secondsOf(run), 0);
  return [
    { name: "Most accurate", value: names.join(" and "), note: `${formatPercent(mean)}${intervalText(interval)}` },
    {
      name: "Training",
      value: seconds < 60 ? formatDuration(seconds) : `${Math.round(seconds / 60)} min`,
      note: `${counted(seeds, "seed")} each`,
    },
  ];
}

function resultSection(networks: readonly ComparedNetwork[]): Section {
  const seeds = networks.some(({ runs }) => runs.length > 1);
  return section(
    "result",
    "Result",
    table(
      `Test accuracy and loss, ${seeds ? "means over the seeds" : "one seed each"}; in brackets the 95 % confidence interval`,
      [networkColumn, ...["Epochs", "ms per step", "ms per image", "Test loss", "Test accuracy"].map(numberColumn)],
      networks.map(resultRow),
    ),
    sizesTable(networks),
  );
}

const networkColumn: TableColumn = { header: "Network", whole: true };

function resultRow(network: ComparedNetwork): Row {
  const { name, epochs, batchSize, latencyMs, runs } = network;
  const { mean: accuracy, interval } = accuracyOf(network);
  return [
    { text: name, style: "code" },
    `${epochs}`,
    threeDigits((1000 * batchSize) / mean(runs.map(imagesPerSecond))),
    latencyMs === undefined ? "–" : threeDigits(latencyMs),
    formatNumber(mean(runs.map(({ loss }) => loss))),
    { text: `${formatPercent(accuracy)}${intervalText(interval)}`, share: accuracy },
  ];
}

/** Durations and rates in one unit: `12345.6` → `"12,300"`. */
function threeDigits(value: number): string {
  return withCommas(Number(value.toPrecision(3)));
}

/** With several seeds, the interval of their mean; with one, that of an accuracy on so many images. */
function accuracyOf({ runs }: ComparedNetwork): { readonly mean: number; readonly interval: Interval | undefined } {
  const [first] = runs;
  if (runs.length > 1) return meanWithInterval(runs.map(({ top1 }) => top1));
  return first
    ? { mean: first.top1, interval: accuracyInterval(first.top1, first.images) }
    : { mean: 0, interval: undefined };
}

function intervalText(interval: Interval | undefined): string {
  if (interval === undefined) return "";
  const percent = (value: number) => (100 * Math.min(1, Math.max(0, value))).toFixed(1);
  return ` (${percent(interval.low)}–${percent(interval.high)})`;
}

function curvesSection(networks: readonly ComparedNetwork[]): Section {
  const accuracy = {
    title: "test accuracy (% of images)",
    format: ".0%",
    value: (record: EpochRecord) => record.validationAccuracy,
  };
  const loss = {
    title: "test loss (nats per image)",
    format: "~g",
    value: (record: EpochRecord) => record.validationLoss,
  };
  const compared = (caption: string, metric: ComparedMetric) => chart(caption, () => comparisonChart(networks, metric));
  return section("curves", "Training curves", {
    type: "figures",
    layout: "curves",
    blocks: [
      compared("Test accuracy after each epoch: mean over the seeds, and their range.", {
        ...accuracy,
        by: "epoch",
      }),
      compared("The same by training time: a slower network gets fewer epochs.", { ...accuracy, by: "minutes" }),
      compared("Test loss after each epoch.", { ...loss, by: "epoch" }),
    ],
  });
}

/** Two networks on the same test images. */
export interface ComparedPair {
  readonly first: string;
  readonly second: string;
  /** Accuracy of the first minus that of the second: mean over the seeds both have. */
  readonly difference: number;
  readonly interval: Interval | undefined;
  /** McNemar's test for each seed. */
  readonly tests: readonly {
    readonly seed: number;
    readonly onlyFirst: number;
    readonly onlySecond: number;
    readonly pValue: number;
  }[];
  /**
   * True if the difference is unlikely to be chance: by McNemar's test of a seed, for the choice of images, and by the interval of
   * several seeds, which excludes 0, for that of the seeds. The interval alone is too narrow if seeds happen to differ equally.
   */
  readonly isSignificant: boolean;
}

/** Compares two networks by the seeds that both have. */
export function comparePair(first: ComparedNetwork, second: ComparedNetwork): ComparedPair {
  const paired = first.runs.flatMap((run) => {
    const other = second.runs.find(({ seed }) => seed === run.seed);
    return other ? [{ run, other }] : [];
  });
  const { mean: difference, interval } = meanWithInterval(paired.map(({ run, other }) => run.top1 - other.top1));
  const tests = paired.map(({ run, other }) => ({ seed: run.seed, ...mcNemarTest(run.correct, other.correct) }));
  const excludesZero = interval === undefined || interval.low > 0 || interval.high < 0;
  const isSignificant = excludesZero && tests.some(({ pValue }) => pValue < significance);
  return { first: first.name, second: second.name, difference, interval, tests, isSignificant };
}

function pairsSection(networks: readonly ComparedNetwork[]): Section | undefined {
  const pairs = networks.flatMap((first, index) =>
    networks.slice(index + 1).map((second) => comparePair(first, second)),
  );
  if (pairs.length === 0) return undefined;
  return section(
    "pairs",
    "Are the differences real?",
    table(
      "Difference in test accuracy in percentage points, its 95 % interval over the seeds, and McNemar's exact test on the " +
        "same test images: those that only one of the two classifies correctly, and the probability of chance alone",
      ["Networks", ...["Difference", "Only the\nfirst", "Only the\nsecond", "p, by seed"].map(numberColumn)],
      pairs.map(({ first, second, difference, interval, tests }) => [
        `${first} – ${second}`,
        pointsText(difference, interval),
        tests.map(({ onlyFirst }) => onlyFirst).join(", "),
        tests.map(({ onlySecond }) => onlySecond).join(", "),
        tests.map(({ pValue }) => pValue.toPrecision(2)).join(", "),
      ]),
    ),
  );
}

function pointsText(difference: number, interval: Interval | undefined): string {
  const points = (value: number) => `${value < 0 ? "−" : "+"}${Math.abs(100 * value).toFixed(1)}`;
  return `${points(difference)}${interval ? ` (${points(interval.low)} to ${points(interval.high)})` : ""}`;
}

/** The paper's findings, and what this comparison shows of each. */
function claimsSection({ claims }: Comparison, networks: readonly ComparedNetwork[]): Section | undefined {
  if (claims.length === 0) return undefined;
  const caption = "Each finding of the paper about these networks, and what was measured here";
  const rows = claims.map((claim) => claimRow(claim, networks));
  const blocks = [table(caption, ["The paper", "Here", "Verdict"], rows)];
  return section("findings", "The paper's findings", ...blocks);
}

function claimRow({ text, better, worse, measure }: PaperClaim, networks: readonly ComparedNetwork[]) {
  const [first, second] = [better, worse].map((name) => networks.find((network) => network.name === name));
  if (!first || !second) return [text, "not trained yet", "open"];
  if (measure === "speed") {
    const [a, b] = [first, second].map(({ runs }) => mean(runs.map(imagesPerSecond)));
    return [
      text,
      `${threeDigits(a!)} against ${threeDigits(b!)} images/s in training`,
      a! > b! ? "shown" : "not shown: the opposite",
    ];
  }
  const { difference, interval, isSignificant } = comparePair(first, second);
  const here = `${better}: ${pointsText(difference, interval)} points against ${worse}`;
  if (!isSignificant) return [text, here, "not shown: within chance"];
  return [text, here, difference > 0 ? "shown" : "not shown: the opposite"];
}

function paperSection({ setup }: Comparison): Section {
  const inPaper = new Map(paperConditions.map(({ name, paper }) => [name, paper]));
  return section(
    "paper",
    "What the paper measured",
    ...paperTables,
    table(
      "The conditions of the paper and of this comparison",
      ["", "The paper", "Here"],
      setup.map(({ name, value }) => [name, inPaper.get(name) ?? "–", value]),
    ),
    paragraph(
      "With other images, sizes and budgets, neither the numbers nor the order of the networks need be the same.",
    ),
  );
}

function secondsOf({ history }: ComparedRun): number {
  return history.reduce((sum, { seconds }) => sum + seconds, 0);
}

/** Training throughput: epochs have equally many images, so it is the harmonic mean. */
function imagesPerSecond({ history }: ComparedRun): number {
  return 1 / mean(history.map((record) => 1 / record.imagesPerSecond));
}
