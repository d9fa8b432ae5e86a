import { assertAllowed, assertOption, number } from "../base/kinds.ts";
import type { LayerConfig, Size2 } from "./layers.ts";

const sizes = ["shape", "filters", "groups", "units", "kernelSize", "poolSize", "strides"] as const;

/**
 * Validates a layer's options, which would otherwise surface as a strange shape far from their cause.
 * @throws {UsageError} a size is not a positive integer, a padding not smaller than its window, or a rate not a
 * fraction.
 */
export function checkLayer(config: LayerConfig, name: string): void {
  const where = (option: string) => `${config.type} "${name}", option "${option}"`;
  const options: Readonly<Record<string, unknown>> = { ...config };
  for (const option of sizes) {
    const value = options[option];
    const fit = value === undefined || [value].flat().every((size) => Number.isInteger(size) && Number(size) >= 1);
    assertAllowed(where(option), value, fit, "positive integers");
  }
  if (config.type === "ZeroPadding2D") {
    const fit = config.padding.flat().every((size) => Number.isInteger(size) && size >= 0);
    assertAllowed(where("padding"), config.padding, fit, "whole numbers from 0");
  } else if ("padding" in config && typeof config.padding !== "string") {
    const window = "poolSize" in config ? config.poolSize : config.kernelSize;
    const expected = `whole numbers from 0 to less than [${window.join(", ")}]`;
    assertAllowed(where("padding"), config.padding, fits(config.padding, window), expected);
  }
  if (config.type === "LeakyReLU") assertOption(where("negativeSlope"), config.negativeSlope, number({ from: 0 }));
  if (config.type === "Dropout") assertOption(where("rate"), config.rate, number({ from: 0, below: 1 }));
}

/** A window that lies in the padding alone would have no maximum. */
function fits(padding: Size2, window: Size2): boolean {
  return padding.every((size, axis) => Number.isInteger(size) && size >= 0 && size < window[axis]!);
}
