import { UsageError } from "../errors.ts";
import type { DecodeOptions } from "../platform.ts";

/** Decode options with nothing left out but a size. */
export type CompleteDecodeOptions = Required<Omit<DecodeOptions, "width" | "height" | "atLeast">> &
  Pick<DecodeOptions, "width" | "height" | "atLeast">;

const fits = ["fill", "cover", "contain"];

/**
 * Fills in the defaults.
 * @throws {UsageError} an option is out of its range.
 */
export function checkDecodeOptions(options: DecodeOptions): CompleteDecodeOptions {
  const { width, height, atLeast, fit = "fill", background = [255, 255, 255], pixelLimit = 100_000_000 } = options;
  if ((width === undefined) !== (height === undefined)) refuse("width and height", [width, height], "both, or neither");
  const sizes = { width, height, "atLeast.width": atLeast?.width, "atLeast.height": atLeast?.height, pixelLimit };
  for (const [option, value] of Object.entries(sizes)) {
    if (value === undefined) continue;
    if (!Number.isInteger(value) || value < 1) refuse(option, value, "a whole number from 1");
  }
  if (!fits.includes(fit)) refuse("fit", fit, fits.join(", "));
  if (background.length !== 3 || !background.every((part) => Number.isInteger(part) && part >= 0 && part <= 255)) {
    refuse("background", background, "[red, green, blue], whole numbers from 0 to 255");
  }
  return {
    ...(width !== undefined && height !== undefined && { width, height }),
    ...(atLeast && { atLeast }),
    fit,
    background,
    pixelLimit,
  };
}

function refuse(option: string, received: unknown, expected: string): never {
  throw new UsageError({
    where: `decodeImage option ${option}`,
    what: "this value is not allowed",
    received,
    expected,
  });
}
