import type { Interval } from "../base/significance.ts";
import { factsOf, numberColumn, paragraph, type ReportDocument, type Section, section, table } from "./document.ts";
import { asMemory, counted, formatInterval, formatNumber, formatPercent } from "./numbers.ts";

/** Accuracies of a model before and after a change, on the same labeled images. */
export interface AccuracyChange {
  readonly images: number;
  readonly before: number;
  readonly after: number;
  readonly afterInterval: Interval;
  /** Images that only the model before, or only the one after, classifies correctly, and McNemar's probability. */
  readonly onlyBefore: number;
  readonly onlyAfter: number;
  readonly pValue: number;
}

/** Difference between the answers of a model before and after a change. */
export interface AnswerChange {
  /** Images that both answered. */
  readonly images: number;
  /** Fraction with the same most probable class, and its 95 % confidence interval. */
  readonly agreement: number;
  readonly agreementInterval: Interval;
  /** Mean over the images of the largest difference of a probability. */
  readonly meanDifference: number;
  /** Undefined without labeled images. */
  readonly accuracy?: AccuracyChange | undefined;
}

/** Durations of a run on one image, before and after a change. */
export interface SpeedChange {
  /** Medians, in milliseconds. */
  readonly beforeMs: number;
  readonly afterMs: number;
  /** Median of the quotients of neighboring runs: above 1 if it became faster. */
  readonly factor: number;
}

/** Layers that are computed with integers or in float32 together. */
export interface QuantizedBlock {
  readonly name: string;
  readonly layers: readonly string[];
}

/** The damage that a block does if it alone is computed with integers. */
export interface BlockSensitivity extends QuantizedBlock {
  /** Mean over the images of the largest difference of a probability. */
  readonly difference: number;
}

/** Record of a quantization: how it was made, and how it differs from float32. */
export interface QuantizationRecord {
  readonly calibration: { readonly method: string; readonly images: number; readonly seed: number };
  readonly weightBits: 7 | 8;
  /** True if kernels have one scale each, not one for each filter. */
  readonly perTensor?: boolean | undefined;
  /** Worst first. */
  readonly blocks: readonly BlockSensitivity[];
  /** Names of the blocks that stay in float32. */
  readonly floatBlocks: readonly string[];
  /** Sizes of the model files. */
  readonly bytes: { readonly before: number; readonly after: number };
  readonly change: AnswerChange;
  /** True if the images of the comparison are those of the calibration. */
  readonly comparedOnCalibration: boolean;
  readonly speed: SpeedChange;
  /** True if this CPU limits sums of products to 16 bits: without VNNI. */
  readonly saturates: boolean;
  readonly limits: { readonly maxDrop: number; readonly minAgreement: number; readonly allowSlower: boolean };
}

/** A model with integer weights compared with its original, as a report; `toText` and `toHtml` write it. */
export function quantizationReport(
  record: QuantizationRecord,
  failures: readonly string[],
  title: string,
): ReportDocument {
  return {
    kind: "Quantization report",
    title,
    sections: [verdictSection(record, failures), blockSection(record)],
  };
}

function verdictSection(record: QuantizationRecord, failures: readonly string[]): Section {
  const { calibration, weightBits, perTensor, floatBlocks, bytes, change, comparedOnCalibration, speed, limits } =
    record;
  const { agreement, agreementInterval, accuracy } = change;
  const facts = {
    File: `${asMemory(bytes.after)}, float32 ${asMemory(bytes.before)}`,
    "Same class as float32": `${formatPercent(agreement)} of ${counted(change.images, "image")} (95\u00a0%: ${formatInterval(agreementInterval)}), at least ${formatPercent(limits.minAgreement)}`,
    ...(accuracy && {
      Accuracy: `${formatPercent(accuracy.after)} (95\u00a0%: ${formatInterval(accuracy.afterInterval)}), float32 ${formatPercent(accuracy.before)}, at most ${counted(limits.maxDrop, "point")} less`,
      "McNemar's test": `only float32 correct ${accuracy.onlyBefore}, only this model correct ${accuracy.onlyAfter}, p = ${formatNumber(accuracy.pValue)}`,
    }),
    "Largest difference of a probability": `${change.meanDifference.toFixed(4)} on average`,
    Speed: `${speed.factor.toFixed(2)} × float32 on this machine (${speed.afterMs.toFixed(1)} against ${speed.beforeMs.toFixed(1)} ms an image, alternating)`,
    Calibration: `${counted(calibration.images, "image")}, method ${calibration.method}, seed ${calibration.seed}`,
    Weights: `${weightBits} bits, one scale for each ${perTensor ? "kernel" : "filter"}`,
    "In float32": floatBlocks.length === 0 ? "no block" : floatBlocks.join(", "),
  };
  const notes = [
    comparedOnCalibration
      ? "Compared on the calibration images; on others, the models may agree less. Use --test."
      : undefined,
    isSaturated(record) ? saturationNote : undefined,
  ].filter((note) => note !== undefined);
  return section(
    "verdict",
    "Compared with float32",
    failures.length === 0
      ? paragraph("The model meets its limits.", "well")
      : paragraph(`The model does not meet its limits. ${failures.join(" ")}`, "ill"),
    { type: "facts", facts: factsOf(facts) },
    ...notes.map((note) => paragraph(note)),
  );
}

/** Returns whether the model's sums are limited on this CPU, see {@link saturationNote}. */
export function isSaturated({ saturates, weightBits }: Pick<QuantizationRecord, "saturates" | "weightBits">): boolean {
  return saturates && weightBits === 8;
}

/** Warning about CPUs that add pairs of products in 16 bits. */
export const saturationNote =
  "This CPU has no VNNI: it limits sums of products to 16 bits, which costs accuracy that others keep. Weights of 7 bits (--reduce-range) avoid it.";

function blockSection({ blocks, floatBlocks }: QuantizationRecord): Section {
  const largest = Math.max(...blocks.map(({ difference }) => difference), Number.MIN_VALUE);
  const sensitivity = table(
    "Mean largest difference of a probability if the block alone has integers, worst first",
    ["Block", numberColumn("Layers"), numberColumn("Difference"), "Computed in"],
    blocks.map(({ name, layers, difference }) => [
      ...[name, `${layers.length}`],
      { text: difference.toFixed(4), share: difference / largest },
      floatBlocks.includes(name) ? "float32" : "int8",
    ]),
  );
  return section("blocks", "Sensitivity of the blocks", sensitivity);
}
