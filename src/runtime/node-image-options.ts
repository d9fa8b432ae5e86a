import { UsageError } from "../errors.ts";
import type { DecodeOptions } from "../platform.ts";

/** Decode options with nothing left out. */
export type CompleteDecodeOptions = Required<DecodeOptions>;

const fits = ["fill", "cover", "contain"];

/**
 * Fills in the defaults.
 * @throws {UsageError} an option is out of its range.
 */
export function checkDecodeOptions(options: DecodeOptions): CompleteDecodeOptions {
  const { width, height, fit = "fill", background = [255, 255, 255], pixelLimit = 100_000_000 } = options;
  for (const [option, value] of Object.entries({ width, height, pixelLimit })) {
    if (!Number.isInteger(value) || value < 1) refuse(option, value, "a whole number from 1");
  }
  if (!fits.includes(fit)) refuse("fit", fit, fits.join(", "));
  if (background.length !== 3 || !background.every((part) => Number.isInteger(part) && part >= 0 && part <= 255)) {
    refuse("background", background, "[red, green, blue], whole numbers from 0 to 255");
  }
  return { width, height, fit, background, pixelLimit };
}

function refuse(option: string, received: unknown, expected: string): never {
  throw new UsageError({ where: `decodeImage option ${option}`, what: "the value is not allowed", received, expected });
}
