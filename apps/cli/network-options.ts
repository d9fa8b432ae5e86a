import { type Command, Option } from "commander";
import type { Network } from "../../src/graph/network.ts";
import { xception } from "../../src/models/xception.ts";
import type { XceptionOptions } from "../../src/models/xception-options.ts";
import { numberListOf, numberOf, shapeOf } from "./values.ts";

/** What commander makes of the flags of `addNetworkOptions`. */
export interface NetworkFlags extends Omit<XceptionOptions, "includeTop"> {
  /** False with `--no-top`. */
  readonly top: boolean;
}

/** Flags that say how a network is built, whatever pictures and classes it is for. */
export type ArchitectureFlags = Partial<
  Pick<
    NetworkFlags,
    "variant" | "width" | "dropout" | "fcUnits" | "residual" | "intermediateActivation" | "middleFlowRepeats"
  >
>;

/** Gives a command the flags that describe a network; `networkOf` then builds it. */
export function addNetworkOptions(command: Command): Command {
  return addArchitectureOptions(command)
    .option("--input-shape <HxWxC>", "of the picture (default: 299x299x3)", shapeOf("--input-shape"))
    .option("--classes <n>", "to tell apart (default: 1000)", numberOf("--classes"))
    .option("--no-top", "leave out global pooling and the classifier")
    .addOption(choice("--pooling <kind>", "with --no-top: what to do with the last maps", ["none", "avg", "max"]))
    .addOption(
      choice("--classifier-activation <name>", "none gives logits", ["softmax", "sigmoid", "none"]).default("softmax"),
    )
    .option("--seed <n>", "of the initial weights (default: 0)", numberOf("--seed"));
}

/** Gives a command the flags of {@link ArchitectureFlags}. */
export function addArchitectureOptions(command: Command): Command {
  return command
    .addOption(
      choice("--variant <name>", "paper: as published and in Keras; tutorial: as the article lists it", [
        "paper",
        "tutorial",
      ]).default("paper"),
    )
    .option("--width <factor>", "multiplies every channel count, e.g. 0.25", numberOf("--width"))
    .option("--dropout <rate>", "before the classifier, 0 ≤ rate < 1 (default: 0)", numberOf("--dropout"))
    .option("--fc-units <n,n>", "fully connected layers, e.g. 4096,4096 (default: none)", numberListOf("--fc-units"))
    .option("--no-residual", "leave the shortcuts out (paper, figure 9)")
    .addOption(
      choice("--intermediate-activation <name>", "inside separable convolutions (paper, figure 10)", [
        "none",
        "relu",
        "elu",
      ]).default("none"),
    )
    .option("--middle-flow-repeats <n>", "blocks of the middle flow (default: 8)", numberOf("--middle-flow-repeats"));
}

/** @throws {UsageError} a flag has a value that the network does not allow. */
export function networkOf(flags: NetworkFlags): Network {
  return xception(xceptionOptionsOf(flags));
}

/** The flags as options of `xception`, whatever else the command's flags are. */
export function xceptionOptionsOf(flags: Partial<NetworkFlags>): XceptionOptions {
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
    seed: flags.seed,
  };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** An option with a fixed set of values. */
export function choice(flag: string, description: string, allowed: readonly string[]): Option {
  return new Option(flag, description).choices(allowed);
}
