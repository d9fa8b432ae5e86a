import type { LayerConfig } from "../graph/layers.ts";
import type { SharedOptions } from "./options.ts";

/** The options of the top, derived from its layers. */
export function topOptionsOf(configs: readonly LayerConfig[]): SharedOptions {
  const classifier = configs.findLast((config) => config.type === "Dense");
  if (classifier === undefined) {
    const last = configs.at(-1)!.type;
    const pooling = last === "GlobalAveragePooling2D" ? "avg" : last === "GlobalMaxPooling2D" ? "max" : "none";
    return { includeTop: false, pooling };
  }
  const { activation } = classifier;
  const dropout = configs.find((config) => config.type === "Dropout")?.rate;
  return {
    classes: classifier.units,
    classifierActivation: activation === "softmax" || activation === "sigmoid" ? activation : "none",
    ...(dropout !== undefined && { dropout }),
  };
}

/**
 * The factor between a network's channel counts and the paper's. Since counts are rounded to multiples of 8, several
 * factors fit; the one with the fewest digits is the likely option.
 * @param pairs channels of some layers in the paper and in the network.
 */
export function widthFrom(
  pairs: readonly (readonly [paper: number, actual: number | undefined])[],
): number | undefined {
  let [low, high] = [0, 16];
  for (const [paper, actual] of pairs) {
    if (actual === undefined) return undefined;
    if (actual > 8) low = Math.max(low, (actual - 4) / paper);
    high = Math.min(high, (actual + 4) / paper);
  }
  if (low <= 1 && high >= 1) return 1;
  for (let digits = 0; digits <= 6; digits++) {
    const candidate = Math.ceil(low * 10 ** digits) / 10 ** digits;
    if (candidate > 0 && candidate < high) return Number(candidate.toFixed(digits));
  }
  return undefined;
}
