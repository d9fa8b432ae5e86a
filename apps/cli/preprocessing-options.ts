import { type Command, Option } from "commander";
import { UsageError } from "../../src/base/errors.ts";
import { fits, interpolations } from "../../src/graph/preprocessing.ts";
import { type PreprocessingOptions, preprocessNames } from "../../src/model/preprocessing.ts";

/** Adds the flags that state the preprocessing of a model's images. */
export function addPreprocessingOptions(command: Command): Command {
  const names = preprocessNames.join(", ");
  return command
    .option("--preprocess <how>", `scaling of pixels: ${names}, or SCALE,OFFSET, e.g. 0.00392,0`, preprocessOf)
    .addOption(new Option("--interpolation <name>", "kernel to resize images with").choices(interpolations))
    .addOption(new Option("--fit <how>", "fit of images into the network's size").choices(fits));
}

/** The options that these flags stand for. */
export function preprocessingOptions({ preprocess, interpolation, fit }: PreprocessingOptions): PreprocessingOptions {
  return { preprocess, interpolation, fit };
}

function preprocessOf(text: string): PreprocessingOptions["preprocess"] {
  const name = preprocessNames.find((each) => each === text);
  if (name !== undefined) return name;
  const numbers = text.split(",").map((each) => (each.trim() === "" ? Number.NaN : Number(each)));
  const [scale, offset] = numbers;
  if (numbers.length === 2 && numbers.every(Number.isFinite)) return { scale: scale!, offset: offset! };
  throw new UsageError({
    where: "option --preprocess",
    what: "this value is not allowed",
    received: text,
    expected: `${preprocessNames.join(", ")}, or SCALE,OFFSET`,
  });
}
