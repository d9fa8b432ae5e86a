import { type Command, Option } from "commander";
import { UsageError, VerificationError } from "../../../src/base/errors.ts";
import { choice, listOf } from "../../../src/base/kinds.ts";
import { type Device, devices, type Platform } from "../../../src/base/platform.ts";
import { readSource } from "../../../src/base/source.ts";
import type { PreprocessingOptions } from "../../../src/model/preprocessing.ts";
import { type ArchitectureName, defaultName } from "../../../src/models/registry.ts";
import {
  goldenKind,
  goldenName,
  parseGolden,
  parseTimmGolden,
  parseTrainingGolden,
} from "../../../src/tasks/verify/golden.ts";
import { type ModelVerification, verifyModel } from "../../../src/tasks/verify/model.ts";
import {
  describeModelVerification,
  describeTrainingVerification,
  describeVerification,
} from "../../../src/tasks/verify/text.ts";
import { verifyTraining } from "../../../src/tasks/verify/training.ts";
import {
  defaultTolerance,
  type Verification,
  type VerifyLayout,
  type VerifyTolerance,
  verifyGolden,
  verifyPhoto,
  verifyTimm,
} from "../../../src/tasks/verify/verify.ts";
import { addDownloadOptions, addPixelLimit, type DownloadFlags, platformFor } from "../downloads.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addNetworkOptions, givenNetworkOptions, type NetworkFlags } from "../network-options.ts";
import { addHelp, positiveNumberOf, valueReader } from "../options.ts";
import { addPreprocessingOptions, preprocessingOptions } from "../preprocessing-options.ts";

interface VerifyFlags extends NetworkFlags, DownloadFlags, PreprocessingOptions {
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

const runtimesOf = valueReader("--runtimes", {
  ...listOf(choice(...devices)),
  read: (text) => text.split(","),
});

export default function registerVerify(command: Command, io: CliIo): void {
  addHelp(command, {
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
    .option("--runtimes <names>", `any of ${devices.join(", ")} (default: all available)`, runtimesOf)
    .option("--golden <file>", "instead of a model: a golden file (JSON)")
    .option("--weights <file>", "with a golden file of a photo: the weights; --image is the photo")
    .option("--allow-missing <glob,glob>", "weights that may be missing or differ, with --weights")
    .option(
      "--tolerance <x>",
      `largest difference of a layer, in standard deviations (default: ${defaultTolerance.taps}); a tenth of ` +
        "it for probabilities",
      positiveNumberOf("--tolerance"),
    )
    .addOption(
      new Option("--layout <name>", "with --golden; inference: folded, as shipped; training: as in training steps")
        .choices(["inference", "training"])
        .default("inference"),
    );
  addNetworkOptions(addPixelLimit(addPreprocessingOptions(addDownloadOptions(command)))).action(
    async (model: string | undefined, flags: VerifyFlags) => {
      const { tolerance: taps } = flags;
      const tolerance: VerifyTolerance | undefined =
        taps === undefined ? undefined : { taps, probabilities: taps / 10 };
      assertNoMixture(model, flags);
      if (model !== undefined && command.getOptionValueSource("layout") === "cli") throw needs("--layout", "--golden");
      const platform = platformFor(flags, io);
      if (model === undefined) return compareGolden(command, flags, tolerance, platform, io);
      const { reference, image: images, runtimes, json, architecture, key } = flags;
      const network = givenNetworkOptions(command, flags);
      const found = await verifyModel(model, {
        platform,
        reference,
        images,
        runtimes,
        tolerance,
        ...preprocessingOptions(flags),
        network,
        architecture,
        key,
      });
      print(found, json, describeModelVerification, io);
      assertRuntimesAgree(found);
    },
  );
}

/** @throws {VerificationError} the network differs from the golden file; the message names the first such number. */
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
    const what = `its values belong to ${kind === "photo" ? "real" : "synthetic"} weights`;
    throw new UsageError({ where: goldenName(file), what, expected: `${kind === "photo" ? "" : "no "}--weights` });
  }
  if (kind === "forward" || kind === "training") assertNamedByFile(command, network, file);
  if (kind === "training") {
    const found = await verifyTraining(parseTrainingGolden(text, file), file, platform);
    print(found, json, describeTrainingVerification, io);
    for (const each of found.differences) {
      assertPassed(goldenName(file), `training differs in the ${each.what}`, each, `${each.allowed}`);
    }
    return;
  }
  let found: Verification;
  if (kind === "forward") found = await verifyGolden(parseGolden(text, file), file, options);
  else if (kind === "timm") {
    const golden = parseTimmGolden(text, file);
    const names = Object.keys(golden);
    const name = architecture ?? ((names.length === 1 ? names[0] : defaultName) as ArchitectureName);
    found = await verifyTimm(golden, file, name, { ...options, network });
  } else {
    const real = { weights: weights!, allowMissing, image: onlyImage(image), architecture, network };
    found = await verifyPhoto(text, file, { ...options, ...real });
  }
  print(found, json, describeVerification, io);
  assertGoldenAgrees(found, file);
}

/** @throws {UsageError} flags describe a network, which the golden file does already. */
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

/** @throws {VerificationError} `found` did not pass. */
function assertPassed(
  where: string,
  what: string,
  found: { readonly difference: number; readonly passed: boolean } | undefined,
  allowed: string,
): void {
  if (found?.passed !== false) return;
  throw new VerificationError({ where, what, received: found.difference, expected: `at most ${allowed}` });
}

function assertGoldenAgrees({ taps, probabilities, tolerance }: Verification, file: string): void {
  const where = goldenName(file);
  for (const { layer, difference, statisticsDifference, passed } of taps) {
    const worst = { difference: Math.max(difference, statisticsDifference), passed };
    assertPassed(where, `the network differs from "${layer}" on`, worst, `${tolerance.taps} of its standard deviation`);
  }
  assertPassed(where, "the network's probabilities differ", probabilities, `${tolerance.probabilities}`);
}

function assertRuntimesAgree({ model, runtimes, tolerance }: ModelVerification): void {
  const allowed = `${tolerance.probabilities}`;
  for (const { runtime, blocks, probabilities, file } of runtimes) {
    const where = `model ${JSON.stringify(model)} on ${runtime}`;
    for (const block of blocks) {
      const what = `it differs from the reference from "${block.layer}" on`;
      assertPassed(where, what, block, `${tolerance.taps} of its standard deviation`);
    }
    assertPassed(where, "the probabilities differ from the reference", probabilities, allowed);
    assertPassed(where, "the probabilities of the file's own graph differ from the reference", file, allowed);
  }
}

/** @throws {UsageError} neither or both of model and golden file are given, or flags of one with the other. */
function assertNoMixture(model: string | undefined, flags: VerifyFlags): void {
  const { golden, reference, image, runtimes, weights, allowMissing } = flags;
  if ((model === undefined) === (golden === undefined)) {
    throw new UsageError({
      where: "verify",
      what: model === undefined ? "there is nothing to verify" : "a model cannot be combined with --golden",
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
    what: "with --weights, the golden values belong to one photo",
    received: images.length,
    expected: "1",
  });
}
