import type { Command } from "commander";
import { UsageError } from "../../src/errors.ts";
import type { Network } from "../../src/graph/network.ts";
import { choice, type Kind, tupleOf, wholeNumber } from "../../src/kinds.ts";
import { minimumAlignedInputSize } from "../../src/models/aligned-xception-options.ts";
import { buildNetwork } from "../../src/models/architecture.ts";
import { type ArchitectureName, architectureNamed } from "../../src/models/architecture-names.ts";
import { minimumInputSize, type XceptionOptions } from "../../src/models/xception-options.ts";
import { networkSettings } from "../../src/tasks/train/settings/network-settings.ts";
import { setting } from "../../src/tasks/train/settings/setting.ts";
import { flagOf, settingOf } from "../../src/tasks/train/settings/settings.ts";
import { addSettingOptions } from "./setting-options.ts";

/** What commander makes of the flags of `addNetworkOptions`. */
export interface NetworkFlags extends Omit<XceptionOptions, "includeTop"> {
  /** Default `xception`. */
  readonly architecture?: ArchitectureName;
  /** False with `--no-top`. */
  readonly top: boolean;
}

const otherSettings = {
  inputShape: setting(imageShape(), { about: "height, width and channels of the images", default: [299, 299, 3] }),
  classes: setting(wholeNumber({ from: 1 }), { about: "number of classes to tell apart", default: 1000 }),
  pooling: setting(choice("none", "avg", "max"), {
    about: "with --no-top: what to do with the last maps",
    default: "none",
  }),
  classifierActivation: setting(choice("softmax", "sigmoid", "none"), {
    about: "activation of the classifier; none gives logits",
    default: "softmax",
  }),
  seed: setting(wholeNumber({ from: 0 }), { about: "seed of the initial weights", default: 0 }),
};

/**
 * Gives a command the flags that describe a network; `networkOf` then builds it.
 * @param except flags that mean something else there.
 */
export function addNetworkOptions(
  command: Command,
  except: readonly (keyof typeof otherSettings | "top")[] = [],
): Command {
  const others = Object.entries(otherSettings).filter(([name]) => !except.some((each) => each === name));
  addSettingOptions(command, networkSettings, "Network");
  addSettingOptions(command, Object.fromEntries(others), "Network");
  return except.includes("top") ? command : command.option("--no-top", "leave out global pooling and the classifier");
}

/** @throws {UsageError} flags do not go together. */
export function networkOf({ architecture = "xception", ...flags }: NetworkFlags): Network {
  assertArchitecture(architecture, { ...flags });
  assertLargeEnough(architecture, flags.inputShape);
  return buildNetwork(architectureNamed(architecture, xceptionOptionsOf(flags)));
}

/**
 * The flags as options of `xception`, whatever else the command's flags are.
 * @throws {UsageError} flags do not go together.
 */
export function xceptionOptionsOf(flags: Partial<NetworkFlags>): XceptionOptions {
  assertNoContradictions(flags);
  const options: Record<keyof XceptionOptions, unknown> = {
    variant: flags.variant,
    inputShape: flags.inputShape,
    classes: flags.classes,
    includeTop: flags.top,
    pooling: flags.pooling,
    classifierActivation: flags.classifierActivation,
    width: flags.width,
    dropout: flags.dropout,
    fcUnits: flags.fcUnits,
    residual: flags.residual,
    intermediateActivation: flags.intermediateActivation,
    middleFlowRepeats: flags.middleFlowRepeats,
    batchNormEpsilon: flags.batchNormEpsilon,
    poolPadding: flags.poolPadding,
    seed: flags.seed,
  };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** As {@link xceptionOptionsOf}, of what is on the command line alone: what is not is as a file says. */
export function givenXceptionOptions(command: Command, flags: Partial<NetworkFlags>): XceptionOptions {
  const given = Object.entries(flags).filter(([name]) => command.getOptionValueSource(name) === "cli");
  return xceptionOptionsOf(Object.fromEntries(given));
}

/**
 * Refuses flags that describe a network beside a file that has one; its images' size may be open.
 * @throws {UsageError} there is one; the message names it.
 */
export function assertNoNetworkFlags(command: Command, flags: Partial<NetworkFlags>): void {
  const names = ["top", ...Object.keys(networkSettings), ...Object.keys(otherSettings)] as (keyof NetworkFlags)[];
  const name = names.find((each) => each !== "inputShape" && command.getOptionValueSource(each) === "cli");
  if (name === undefined) return;
  throw new UsageError({
    where: "argument MODEL",
    what: "the network is the one in the file; of flags that describe one, only --input-shape goes with it",
    received: flags[name] === false ? flagOf(name).replace("--", "--no-") : flagOf(name),
  });
}

/** The same rules as those of `xception`, in the words of the command line. */
function assertNoContradictions({ top = true, pooling, dropout, fcUnits }: Partial<NetworkFlags>): void {
  const needsNoTop = pooling !== undefined && pooling !== "none";
  if (top && needsNoTop) refuse("--pooling", "this needs --no-top, for the top has its own pooling", pooling);
  if (!top && dropout) refuse("--dropout", "this stands before the classifier, which --no-top leaves out", dropout);
  if (!top && fcUnits?.length) {
    refuse("--fc-units", "these belong to the classifier, which --no-top leaves out", fcUnits);
  }
}

/** Refuses flags that this network does not know. */
function assertArchitecture(architecture: ArchitectureName, flags: Readonly<Record<string, unknown>>): void {
  for (const name of Object.keys(networkSettings) as (keyof typeof networkSettings)[]) {
    const { follows, only = [] } = settingOf(name);
    if (flags[name] === undefined || follows !== "architecture" || only.includes(architecture)) continue;
    throw new UsageError({
      where: `option ${flagOf(name)}`,
      what: `this does not go with architecture ${architecture}`,
      received: flags[name],
      expected: `architecture ${only.join(" or ")}`,
    });
  }
}

function assertLargeEnough(architecture: ArchitectureName, inputShape: NetworkFlags["inputShape"]): void {
  const isXception = networkSettings.variant.only?.includes(architecture);
  const smallest = isXception ? minimumInputSize : minimumAlignedInputSize;
  if (inputShape === undefined || Math.min(inputShape[0], inputShape[1]) >= smallest) return;
  throw new UsageError({
    where: "option --input-shape",
    what: "the images are too small",
    received: inputShape.join("x"),
    expected: `height and width from ${smallest} for ${architecture}`,
  });
}

function refuse(flag: string, what: string, received: unknown): never {
  throw new UsageError({ where: `option ${flag}`, what, received });
}

/** Height, width and channels, which a flag writes as `299x299x3`; each network says how small they may be. */
function imageShape(): Kind<readonly [number, number, number]> {
  const side = wholeNumber({ from: 1, to: 8192 });
  const shape = tupleOf([side, side, wholeNumber({ from: 1 })], {
    separator: "x",
    expected: "HEIGHTxWIDTHxCHANNELS, height and width up to 8192, e.g. 299x299x3",
    placeholder: "<HxWxC>",
  });
  return { ...shape, read: (text) => shape.read(text.replaceAll("×", "x")) };
}
