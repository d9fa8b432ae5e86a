import type { BlockHealth, HealthRecord } from "../base/records.ts";
import { gradientChart, zerosChart } from "./charts/heat-maps.ts";
import { chart, numberColumn, type Paragraph, paragraph, type Row, type Section, section, table } from "./document.ts";
import { formatNumber, formatPercent, withCommas } from "./numbers.ts";

/** Fraction of zeros from which an activation is dead. */
const deadShare = 0.99;
/** Fraction of the network's largest gradient below which a block hardly learns. */
const vanishing = 1e-5;
/** Euclidean norm above which a block's gradient explodes. */
const exploding = 1000;
/** Update ratio above which weights explode; 0.001 to 0.01 is usual. */
const wildUpdate = 0.1;

/** Gradients and activations block by block: at the latest step that recorded them, and over time. */
export function healthSection(health: readonly HealthRecord[]): Section | undefined {
  const latest = health.at(-1);
  if (latest === undefined || latest.blocks.length === 0) return undefined;
  const { step, blocks } = latest;
  const norms = health.flatMap((record) => record.blocks.flatMap(({ gradientNorm }) => gradientNorm || []));
  const range = `from ${shortNumber(Math.min(...norms))} to ${shortNumber(Math.max(...norms))}`;
  const gradients = `Gradient norm of each block, ${range}, on a logarithmic scale. A block that stays pale learns little.`;
  const zeros = "Fraction of zeros in the activations of each block. A block in full color is dead.";
  return section(
    "health",
    "Health of the network",
    verdict(blocks, step),
    table(
      `Block by block, at step ${withCommas(step)}; activations of its first image`,
      ["Block", ...["Gradient norm", "Weight norm", "Update ratio", "Activation", "Zeros"].map(numberColumn), ""],
      blocks.map((block) => healthRow(block, blocks)),
    ),
    {
      type: "figures",
      layout: "health",
      blocks: [chart(gradients, () => gradientChart(health)), chart(zeros, () => zerosChart(health))],
    },
  );
}

/** Describes problems of a block; empty if there are none. */
export function healthWarnings(block: BlockHealth, all: readonly BlockHealth[]): readonly string[] {
  const { gradientNorm, updateRatio, activation } = block;
  const largest = Math.max(0, ...all.map((each) => each.gradientNorm ?? 0));
  const warnings: string[] = [];
  if (activation && activation.zeroShare >= deadShare) {
    warnings.push(`dead: ${formatPercent(activation.zeroShare)} of its activations are 0`);
  }
  if (gradientNorm === 0) warnings.push("no gradient");
  else if (gradientNorm !== undefined && gradientNorm < vanishing * largest) {
    warnings.push("vanishing: hardly any gradient");
  }
  if (gradientNorm !== undefined && gradientNorm > exploding) {
    warnings.push(`exploding: a gradient of ${formatNumber(gradientNorm)}`);
  }
  if (updateRatio !== undefined && updateRatio > wildUpdate) {
    warnings.push(`exploding: one step changes its weights by ${formatPercent(updateRatio)}`);
  }
  return warnings;
}

function verdict(blocks: readonly BlockHealth[], step: number): Paragraph {
  const ill = blocks.filter((block) => healthWarnings(block, blocks).length > 0).map(({ block }) => block);
  return ill.length === 0
    ? paragraph("✓ All blocks learn: none is dead, vanishing or exploding.", "well")
    : paragraph(`⚠ Warnings at step ${withCommas(step)}: ${ill.join(", ")}.`, "ill");
}

function healthRow(block: BlockHealth, all: readonly BlockHealth[]): Row {
  const { gradientNorm, weightNorm, updateRatio, activation } = block;
  const warnings = healthWarnings(block, all);
  return [
    block.block,
    shortNumber(gradientNorm),
    shortNumber(weightNorm),
    updateRatio === undefined ? "–" : `${shortNumber(100 * updateRatio)}\u00a0%`,
    activation ? `${shortNumber(activation.mean)} ± ${shortNumber(activation.deviation)}` : "–",
    activation ? formatPercent(activation.zeroShare) : "–",
    warnings.length > 0 ? { text: `⚠ ${warnings.join("; ")}`, style: "warning" } : undefined,
  ];
}

/** Three significant digits: `12.3`, `0.00123`; two in `1.2e-6`. */
function shortNumber(value: number | undefined): string {
  if (value === undefined) return "–";
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}
