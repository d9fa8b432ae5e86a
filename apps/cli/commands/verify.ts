import { type Command, Option } from "commander";
import { UsageError } from "../../../src/errors.ts";
import { type Device, devices } from "../../../src/platform.ts";
import type { VerifyLayout } from "../../../src/tasks/verify/graph.ts";
import { defaultTolerance, type VerifyTolerance } from "../../../src/tasks/verify/verify.ts";
import { addDownloadOptions, type DownloadFlags, platformFor } from "../downloads.ts";
import type { CliIo } from "../io.ts";
import { addNetworkOptions, givenNetworkOptions, type NetworkFlags, networkOptionsOf } from "../network-options.ts";
import { addCommand, positiveNumberOf } from "../options.ts";
import { verifyGolden } from "../verify/golden.ts";
import { verifyModelFile } from "../verify/model.ts";

interface VerifyFlags extends NetworkFlags, DownloadFlags {
  readonly golden?: string;
  readonly weights?: string;
  readonly allowMissing?: string;
  readonly reference?: string;
  readonly image?: readonly string[];
  readonly runtimes?: readonly Device[];
  readonly tolerance?: number;
  readonly layout: VerifyLayout;
  readonly json?: boolean;
}

export function registerVerify(program: Command, io: CliIo): void {
  const command = addCommand(program, "verify [model]", {
    description:
      "Compare what every runtime of this machine makes of a model with a reference: block by block, on an image from a " +
      "formula and on yours. The reference is the model itself without any optimization, or --reference. Flags that describe a network say which one weights alone are for. With --golden " +
      "instead of a model: compare our network, weights and images from a formula (docs/fidelity.md), with what Keras " +
      "computed; what no flag says is read from the file's fields, its name and its taps. The exit code is 1 if they differ.",
    example: "xception verify run/model.onnx --reference model.keras --image cat.jpg --runtimes cpu,wasm",
  })
    .option("--reference <file>", "values of another tool (JSON), or another file of the model, in any format")
    .option("--image <files...>", "images to run beside the formula's")
    .option("--runtimes <names>", `of ${devices.join(", ")} (default: all that are there)`, runtimesOf)
    .option("--golden <file>", "without a model: values of another tool, as JSON")
    .option("--weights <file>", "with --golden: real weights in place of the formula's, for the values of --image")
    .option("--allow-missing <glob,glob>", "which of these weights may be missing or differ")
    .option(
      "--tolerance <x>",
      `largest difference of a layer in units of its standard deviation (default: ${defaultTolerance.taps}); that of a ` +
        "probability is a tenth of it",
      positiveNumberOf("--tolerance"),
    )
    .addOption(
      new Option("--layout <name>", "with --golden. inference: folded, as shipped; training: as in training steps")
        .choices(["inference", "training"])
        .default("inference"),
    );
  addNetworkOptions(addDownloadOptions(command)).action(async (model: string | undefined, flags: VerifyFlags) => {
    const {
      golden,
      reference,
      image: images,
      runtimes,
      tolerance: taps,
      layout,
      json = false,
      top,
      weights,
      allowMissing,
      architecture = "xception",
      cacheDir,
      offline,
      ...network
    } = flags;
    const tolerance: VerifyTolerance | undefined = taps === undefined ? undefined : { taps, probabilities: taps / 10 };
    assertNoMixture(model, flags);
    if (model !== undefined && command.getOptionValueSource("layout") === "cli") throw needs("--layout", "--golden");
    const platform = platformFor({ cacheDir, offline }, io);
    if (model !== undefined) {
      const described = { network: givenNetworkOptions(command, flags), architecture: flags.architecture };
      return verifyModelFile(model, { reference, images, runtimes, tolerance, json, ...described }, platform, io);
    }
    // Without --no-top, the file says whether there is one.
    const options = { ...networkOptionsOf(network), ...(!top && { includeTop: false }) };
    const real = weights === undefined ? undefined : { weights, allowMissing, image: onlyImage(images) };
    const settings = { network: options, architecture, layout, json, real, ...(tolerance && { tolerance }) };
    return verifyGolden(golden!, settings, platform, io);
  });
}

/** @throws {UsageError} there is no model and no golden file, or both, or flags of one with the other. */
function assertNoMixture(model: string | undefined, flags: VerifyFlags): void {
  const { golden, reference, image, runtimes, weights, allowMissing } = flags;
  if ((model === undefined) === (golden === undefined)) {
    throw new UsageError({
      where: "verify",
      what: model === undefined ? "there is nothing to verify" : "a model and --golden do not go together",
      expected: "a model, or --golden FILE",
      ...(model !== undefined && { remedy: "To compare the model with the values of a file, use --reference FILE." }),
    });
  }
  const withWeights = weights !== undefined;
  const modelOnly = { "--reference": reference, "--image": withWeights ? undefined : image, "--runtimes": runtimes };
  const extra = Object.entries(modelOnly).find(([, value]) => value !== undefined);
  if (model === undefined && extra) {
    throw new UsageError({ where: `option ${extra[0]}`, what: "it needs a model", expected: "xception verify MODEL" });
  }
  if (withWeights && golden === undefined) throw needs("--weights", "--golden");
  if (allowMissing !== undefined && !withWeights) throw needs("--allow-missing", "--weights");
}

function needs(flag: string, other: string): UsageError {
  return new UsageError({ where: `option ${flag}`, what: `it needs ${other}`, expected: `${other} FILE` });
}

function onlyImage(images: readonly string[] = []): string {
  const [image, ...others] = images;
  if (image !== undefined && others.length === 0) return image;
  throw new UsageError({
    where: "option --image",
    what: "with --weights, the golden values are of one photo",
    received: images.length,
    expected: "1",
  });
}

function runtimesOf(text: string): readonly Device[] {
  return text.split(",").map((name) => {
    const device = devices.find((each) => each === name);
    if (device !== undefined) return device;
    const expected = devices.join(", ");
    throw new UsageError({ where: "option --runtimes", what: "there is no such runtime", received: name, expected });
  });
}
