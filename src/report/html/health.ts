import type { BlockHealth, HealthRecord } from "../../records.ts";
import { gradientChart, zerosChart } from "../charts/health.ts";
import { healthWarnings } from "../health-warnings.ts";
import { withCommas } from "../number-text.ts";
import type { TrainingReport } from "../training-report.ts";
import { formatPercent } from "./format.ts";
import { html, type Markup } from "./markup.ts";
import { figure, type Section, table } from "./parts.ts";

/** How gradients and activations are doing, block by block: at the latest step that told, and over time. */
export async function healthSection({ health = [] }: TrainingReport): Promise<Section | undefined> {
  const latest = health.at(-1);
  if (latest === undefined || latest.blocks.length === 0) return undefined;
  const { step, blocks } = latest;
  return {
    id: "health",
    title: "Health of the network",
    body: html`${verdict(blocks, step)}
${table(
  `Block by block, at step ${withCommas(step)}; activations of its first image`,
  [
    { header: "Block" },
    { header: "Gradient norm", align: "right" },
    { header: "Weight norm", align: "right" },
    { header: "Change by the step", align: "right" },
    { header: "Activation", align: "right" },
    { header: "Zeros", align: "right" },
    { header: "" },
  ],
  blocks.map((block) => row(block, blocks)),
)}
<div class="figures health">
${figure(await gradientChart(health), gradientCaption(health))}
${figure(await zerosChart(health), "The share of zeros in its activations, from none to all. A block in full color is dead.")}
</div>`,
  };
}

function gradientCaption(health: readonly HealthRecord[]): string {
  const norms = health.flatMap(({ blocks }) => blocks.flatMap(({ gradientNorm }) => gradientNorm || []));
  const range = `from ${shortNumber(Math.min(...norms))} to ${shortNumber(Math.max(...norms))}`;
  return `Gradient norm of each block, ${range}, on a logarithmic scale. A block that stays pale learns little.`;
}

function verdict(blocks: readonly BlockHealth[], step: number): Markup {
  const ill = blocks.filter((block) => healthWarnings(block, blocks).length > 0).map(({ block }) => block);
  if (ill.length === 0)
    return html`<p class="verdict well">✓ All blocks learn: none is dead, vanishing or exploding.</p>`;
  return html`<p class="verdict ill">⚠ To look at, at step ${withCommas(step)}: ${ill.join(", ")}.</p>`;
}

function row(block: BlockHealth, all: readonly BlockHealth[]) {
  const { gradientNorm, weightNorm, updateRatio, activation } = block;
  const warnings = healthWarnings(block, all);
  return [
    block.block,
    shortNumber(gradientNorm),
    shortNumber(weightNorm),
    updateRatio === undefined ? "–" : smallPercent(updateRatio),
    activation ? `${shortNumber(activation.mean)} ± ${shortNumber(activation.deviation)}` : "–",
    activation ? formatPercent(activation.zeroShare) : "–",
    warnings.length > 0 ? html`<strong class="warning">⚠ ${warnings.join("; ")}</strong>` : undefined,
  ];
}

/** Three digits, whatever the size: `12.3`, `0.00123`, `1.2e-6`. */
function shortNumber(value: number | undefined): string {
  if (value === undefined) return "–";
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}

function smallPercent(fraction: number): string {
  return `${shortNumber(100 * fraction)}\u00a0%`;
}
