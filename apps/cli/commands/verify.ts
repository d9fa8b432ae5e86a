import { type Command, Option } from "commander";
import { UsageError, VerificationError } from "../../../src/base/errors.ts";
import { type Device, devices, type Platform } from "../../../src/base/platform.ts";
import { readSource } from "../../../src/base/source.ts";
import { type ArchitectureName, defaultName } from "../../../src/models/registry.ts";
import {
  goldenKind,
  goldenName,
  parseGolden,
  parseTimmGolden,
  parseTrainingGolden,
} from "../../../src/tasks/verify/golden.ts";
import { type ModelVerification, verifyModel } from "../../../src/tasks/verify/model.ts";
import type { VerifyLayout } from "../../../src/tasks/verify/run.ts";
import {
  describeModelVerification,
  describeTrainingVerification,
  describeVerification,
} from "../../../src/tasks/verify/text.ts";
import { type TrainingVerification, verifyTraining } from "../../../src/tasks/verify/training.ts";
import {
  defaultTolerance,
  type Verification,
  type VerifyTolerance,
  verifyGolden,
  verifyPhoto,
  verifyTimm,
} from "../../../src/tasks/verify/verify.ts";
import { addDownloadOptions, type DownloadFlags, platformFor } from "../downloads.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addNetworkOptions, givenNetworkOptions, type NetworkFlags } from "../network-options.ts";
import { addCommand, positiveNumberOf } from "../options.ts";

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
    summary: "Compare a model with a reference, block by block",
    details:
      "With MODEL: runs it on every available runtime, on a synthetic image and on yours, and compares " +
      "with the unoptimized model, or with --reference. With --golden: builds the network that the golden " +
      "file names, with synthetic weights, and compares every number in the file. The exit code is 1 if " +
      "they differ.",
    examples: [
      "xception verify run/model.onnx --reference model.keras --image cat.jpg --runtimes cpu,wasm",
      "xception verify --golden xception-paper-299.json",
    ],
  })
    .option("--reference <file>", "a golden file (JSON), or another file of the model, in any format")
    .option("--image <files...>", "images to run besides the synthetic one")
    .option("--runtimes <names>", `any of ${devices.join(", ")} (default: all that are available)`, runtimesOf)
    .option("--golden <file>", "without a model: a golden file, as JSON")
    .option("--weights <file>", "with --golden: real weights, for a golden file of the photo --image")
    .option("--allow-missing <glob,glob>", "which of these weights may be missing or differ")
    .option(
      "--tolerance <x>",
      `largest difference of a layer, in standard deviations (default: ${defaultTolerance.taps}); that of a ` +
        "probability is a tenth of it",
      positiveNumberOf("--tolerance"),
    )
    .addOption(
      new Option("--layout <name>", "with --golden. inference: folded, as shipped; training: as in training steps")
        .choices(["inference", "training"])
        .default("inference"),
    );
  addNetworkOptions(addDownloadOptions(command)).action(async (model: string | undefined, flags: VerifyFlags) => {
    const { tolerance: taps, cacheDir, offline } = flags;
    const tolerance: VerifyTolerance | undefined = taps === undefined ? undefined : { taps, probabilities: taps / 10 };
    assertNoMixture(model, flags);
    if (model !== undefined && command.getOptionValueSource("layout") === "cli") throw needs("--layout", "--golden");
    const platform = platformFor({ cacheDir, offline }, io);
    if (model === undefined) return compareGolden(command, flags, tolerance, platform, io);
    const { reference, image: images, runtimes, json, architecture, key } = flags;
    const network = givenNetworkOptions(command, flags);
    const found = await verifyModel(model, {
      platform,
      reference,
      images,
      runtimes,
      tolerance,
      network,
      architecture,
      key,
    });
    print(found, json, describeModelVerification, io);
    assertRuntimesAgree(found);
  });
}

/**
 * Compares our network with a golden file.
 * @throws {VerificationError} naming the first number that differs.
 */
async function compareGolden(
  command: Command,
  flags: VerifyFlags,
  tolerance: VerifyTolerance | undefined,
  platform: Platform,
  io: CliIo,
): Promise<void> {
  const { golden, layout, json, weights, allowMissing, image, architecture } = flags;
  const file = golden!;
  const text = new TextDecoder().decode(await readSource(file, platform));
  const kind = goldenKind(text, file);
  const network = givenNetworkOptions(command, flags);
  const options = { platform, layout, ...(tolerance && { tolerance }) };
  if ((kind === "photo") !== (weights !== undefined)) {
    const what = kind === "photo" ? "the values of a photo are of real weights" : "its values are of synthetic weights";
    throw new UsageError({ where: goldenName(file), what, expected: `${kind === "photo" ? "" : "no "}--weights` });
  }
  if (kind === "forward" || kind === "training") assertNamedByFile(command, network, file);
  if (kind === "training") {
    const found = await verifyTraining(parseTrainingGolden(text, file), file, platform);
    print(found, json, describeTrainingVerification, io);
    return assertTrainingAgrees(found, file);
  }
  let found: Verification;
  if (kind === "forward") found = await verifyGolden(parseGolden(text, file), file, options);
  else if (kind === "timm") {
    found = await verifyTimm(parseTimmGolden(text, file), file, chosenName(architecture, text), {
      ...options,
      network,
    });
  } else {
    const real = { weights: weights!, allowMissing, image: onlyImage(image), architecture, network };
    found = await verifyPhoto(text, file, { ...options, ...real });
  }
  print(found, json, describeVerification, io);
  assertGoldenAgrees(found, file);
}

/** The network of a file with several: the one that `--architecture` names. */
function chosenName(architecture: ArchitectureName | undefined, text: string): ArchitectureName {
  const names = Object.keys(JSON.parse(text));
  return architecture ?? ((names.length === 1 ? names[0] : defaultName) as ArchitectureName);
}

/** @throws {UsageError} flags describe a network besides the one that the golden file names. */
function assertNamedByFile(command: Command, network: object, file: string): void {
  const [option] = Object.keys(network);
  const isNamed = command.getOptionValueSource("architecture") === "cli";
  if (option === undefined && !isNamed) return;
  throw new UsageError({
    where: goldenName(file),
    what: "the file names its network, and flags cannot change it",
    received: isNamed ? "architecture" : option,
    remedy: "Leave the flag out, or change the architecture in the file.",
  });
}

function print<T>(
  found: T,
  json: boolean | undefined,
  describe: (found: T, options: { readonly width: number }) => string,
  io: CliIo,
): void {
  if (json) writeJson(io, found);
  else io.stdout(`${describe(found, { width: io.columns ?? 100 })}\n`);
}

function assertGoldenAgrees({ taps, probabilities, tolerance }: Verification, file: string): void {
  const tap = taps.find(({ passed }) => !passed);
  if (tap) {
    const difference = Math.max(tap.difference, tap.statisticsDifference);
    throw new VerificationError({
      where: goldenName(file),
      what: `the network differs from "${tap.layer}" on`,
      received: difference,
      expected: `at most ${tolerance.taps} of its standard deviation`,
    });
  }
  if (probabilities?.passed === false) {
    throw new VerificationError({
      where: goldenName(file),
      what: "the network's probabilities differ",
      received: probabilities.difference,
      expected: `at most ${tolerance.probabilities}`,
    });
  }
}

function assertTrainingAgrees({ differences }: TrainingVerification, file: string): void {
  const first = differences.find(({ passed }) => !passed);
  if (!first) return;
  const { what, difference: received, allowed } = first;
  throw new VerificationError({
    where: goldenName(file),
    what: `training differs in the ${what}`,
    received,
    expected: `at most ${allowed}`,
  });
}

function assertRuntimesAgree({ model, runtimes, tolerance }: ModelVerification): void {
  for (const { runtime, blocks, probabilities, file } of runtimes) {
    const where = `model ${JSON.stringify(model)} on ${runtime}`;
    const block = blocks.find(({ passed }) => !passed);
    if (block) {
      throw new VerificationError({
        where,
        what: `it differs from the reference from "${block.layer}" on`,
        received: block.difference,
        expected: `at most ${tolerance.taps} of its standard deviation`,
      });
    }
    const end = [probabilities, file].find((each) => each?.passed === false);
    if (!end) continue;
    throw new VerificationError({
      where,
      what: `the probabilities${end === file ? " of the file's own graph" : ""} differ from the reference`,
      received: end.difference,
      expected: `at most ${tolerance.probabilities}`,
    });
  }
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
