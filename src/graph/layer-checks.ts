import { UsageError } from "../errors.ts";
import type { LayerConfig, Size2 } from "./layers.ts";

const sizes = ["shape", "filters", "units", "kernelSize", "poolSize", "strides"] as const;

/**
 * Refuses options no layer can have, which would otherwise surface as a strange shape far from their cause.
 * @throws {UsageError} a size is not a positive integer, a padding not smaller than its window, or a rate not a share.
 */
export function checkLayer(config: LayerConfig, name: string): void {
  const options: Readonly<Record<string, unknown>> = { ...config };
  for (const option of sizes) {
    const value = options[option];
    if (value === undefined || [value].flat().every((size) => Number.isInteger(size) && Number(size) >= 1)) continue;
    throw refused(config, name, option, value, "positive integers");
  }
  if ("padding" in config && typeof config.padding !== "string") {
    const window = "poolSize" in config ? config.poolSize : config.kernelSize;
    if (!fits(config.padding, window))
      throw refused(
        config,
        name,
        "padding",
        config.padding,
        `whole numbers from 0 to less than [${window.join(", ")}]`,
      );
  }
  if (config.type === "Dropout" && !(config.rate >= 0 && config.rate < 1)) {
    throw refused(config, name, "rate", config.rate, "a number from 0 up to, not including, 1");
  }
}

/** A window that lies in the padding alone would have no maximum. */
function fits(padding: Size2, window: Size2): boolean {
  return padding.every((size, axis) => Number.isInteger(size) && size >= 0 && size < window[axis]!);
}

function refused(config: LayerConfig, name: string, option: string, received: unknown, expected: string): UsageError {
  return new UsageError({
    where: `${config.type} "${name}", option "${option}"`,
    what: "this value is not allowed",
    received,
    expected,
  });
}
