import type { BlockHealth } from "../records.ts";
import { formatNumber, formatPercent } from "./html/format.ts";

/** From here on an activation lets through next to nothing. */
const deadShare = 0.99;
/** Of the largest gradient in the network; below it a block hardly learns. */
const vanishing = 1e-5;
/** Euclidean norm of a block's gradient. */
const exploding = 1000;
/** A hundredth to a thousandth of the weights is usual for one step. */
const wildUpdate = 0.1;

/** What is wrong with a block, in words; empty if nothing is. */
export function healthWarnings(block: BlockHealth, all: readonly BlockHealth[]): readonly string[] {
  const { gradientNorm, updateRatio, activation } = block;
  const largest = Math.max(0, ...all.map((each) => each.gradientNorm ?? 0));
  const warnings: string[] = [];
  if (activation && activation.zeroShare >= deadShare) {
    warnings.push(`dead: ${formatPercent(activation.zeroShare)} of an activation's numbers are 0`);
  }
  if (gradientNorm === 0) warnings.push("no gradient arrives");
  else if (gradientNorm !== undefined && gradientNorm < vanishing * largest) {
    warnings.push("vanishing: hardly any gradient arrives");
  }
  if (gradientNorm !== undefined && gradientNorm > exploding) {
    warnings.push(`exploding: a gradient of ${formatNumber(gradientNorm)}`);
  }
  if (updateRatio !== undefined && updateRatio > wildUpdate) {
    warnings.push(`exploding: one step changes its weights by ${formatPercent(updateRatio)}`);
  }
  return warnings;
}
