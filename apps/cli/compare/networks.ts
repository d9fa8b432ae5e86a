import { Command } from "commander";
import { UsageError } from "../../../src/base/errors.ts";
import { networkCost } from "../../../src/graph/cost.ts";
import { countParameters, type Network, networkWeights } from "../../../src/graph/network.ts";
import { type ArchitectureName, architectureNames, buildNetwork } from "../../../src/models/registry.ts";
import type { PaperClaim } from "../../../src/report/paper.ts";
import { chosenArchitecture } from "../../../src/train/settings/choices.ts";
import { type ResolvedSettings, resolveSettings, type SettingsLayer } from "../../../src/train/settings/resolve.ts";
import { type Settings, settings } from "../../../src/train/settings/settings.ts";
import { addSettingOptions, givenSettings } from "../setting-options.ts";

/** A network to compare: its name on the command line, and its settings. */
export interface NetworkSpec {
  /** An architecture and flags, e.g. `xception --no-residual`. */
  readonly name: string;
  readonly resolved: ResolvedSettings;
}

/** The paper's ablations, as networks to compare. */
export const ablations = {
  residual: ["xception", "xception --no-residual"],
  "intermediate-activation": [
    "xception",
    "xception --intermediate-activation relu",
    "xception --intermediate-activation elu",
  ],
  spectrum: ["xception", ...["8", "4", "2", "1"].map((segments) => `xception --segments ${segments}`)],
} as const satisfies Record<string, readonly string[]>;

/** Name of an ablation. */
export type Ablation = keyof typeof ablations;

/**
 * Parses the networks to compare; each is an architecture with training flags, which override the shared ones.
 * @throws {UsageError} an architecture or flag is unknown, a value is not allowed, or a network is named twice.
 */
export function parseNetworks(names: readonly string[], shared: readonly SettingsLayer[]): readonly NetworkSpec[] {
  const tidy = names.map((name) => name.trim().split(/\s+/).join(" "));
  const twice = tidy.find((name, index) => tidy.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new UsageError({ where: "argument networks", what: "a network is named twice", received: twice });
  }
  if (tidy.length < 2) {
    throw new UsageError({
      where: "argument networks",
      what: "there is nothing to compare",
      received: tidy,
      expected: "two or more networks, each in quotes if it has flags, e.g. xception 'xception --no-residual'",
    });
  }
  return tidy.map((name) => ({ name, resolved: resolveSettings([layerOf(name), ...shared]) }));
}

function layerOf(name: string): SettingsLayer {
  const [architecture, ...words] = name.split(" ") as [string, ...string[]];
  const place = `network "${name}"`;
  if (!architectureNames.some((each) => each === architecture)) {
    const expected = architectureNames.join(", ");
    throw new UsageError({ where: place, what: "there is no such architecture", received: architecture, expected });
  }
  const command = addSettingOptions(new Command(), settings, "Settings")
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  try {
    command.parse(words, { from: "user" });
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError({ ...error.parts, where: `${place}, ${error.parts.where}` });
    const what = (error as Error).message.replace(/^error: /, "");
    throw new UsageError({ where: place, what, expected: "flags of xception train", cause: error });
  }
  const values = { ...givenSettings(command.opts()), architecture };
  return { source: "network", values, where: (option) => `${place}, setting ${option}` };
}

/** Makes two networks equal in one of these. */
export const matches = ["epochs", "parameters", "multiplications", "seconds"] as const;
/** What a comparison makes equal. */
export type Match = (typeof matches)[number];

/** Builds a network for a number of classes. */
export function networkToCompare(values: Settings, classes: number): Network {
  return buildNetwork(chosenArchitecture(values, { classes }));
}

/** Size of a network by the measure to match. */
function sizeOfNetwork(network: Network, match: "parameters" | "multiplications"): number {
  if (match === "parameters") return countParameters(networkWeights(network)).total;
  return networkCost(network).total.multiplications;
}

/** Widths are chosen to this many parts of 1; channels are multiples of 8 anyway. */
const widthSteps = 256;

/**
 * Chooses the width of each network after the first so that its parameters or multiplications are as close as possible to the first's.
 * @throws {UsageError} a network's width is set by hand, but is to be chosen.
 */
export function matchWidths(
  specs: readonly NetworkSpec[],
  match: "parameters" | "multiplications",
  classes: number,
): readonly NetworkSpec[] {
  const [first, ...others] = specs as readonly [NetworkSpec, ...NetworkSpec[]];
  const target = sizeOfNetwork(networkToCompare(first.resolved.settings, classes), match);
  return [first, ...others.map((spec) => ({ ...spec, resolved: withWidth(spec.resolved, match, target, classes) }))];
}

function withWidth(
  { settings: values, sources }: ResolvedSettings,
  match: "parameters" | "multiplications",
  target: number,
  classes: number,
): ResolvedSettings {
  const sizeAt = (step: number) =>
    sizeOfNetwork(networkToCompare({ ...values, width: step / widthSteps }, classes), match);
  let low = 1;
  let high = 16 * widthSteps;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (sizeAt(middle) < target) low = middle;
    else high = middle;
  }
  const nearest = Math.abs(sizeAt(low) - target) < Math.abs(sizeAt(high) - target) ? low : high;
  return {
    settings: { ...values, width: nearest / widthSteps },
    sources: new Map(sources).set("width", `--match ${match}`),
  };
}

/** The paper's findings about pairs of these networks. */
export function claimsAbout(specs: readonly NetworkSpec[]): readonly PaperClaim[] {
  const claims: PaperClaim[] = [];
  const named = (isIt: (values: Settings) => boolean) =>
    specs.filter(({ resolved }) => isIt(resolved.settings)).map(({ name }) => name);
  const isXception = (values: Settings) => values.architecture === ("xception" satisfies ArchitectureName);
  const isPlain = (values: Settings) =>
    isXception(values) && values.residual && values.intermediateActivation === "none";
  const [plain] = named(isPlain);
  if (plain === undefined) return [];
  for (const inception of named(({ architecture }) => architecture === "inception-v3")) {
    claims.push(
      {
        text: "Xception is more accurate than Inception V3 (tables 1 and 2)",
        better: plain,
        worse: inception,
        measure: "accuracy",
      },
      {
        text: "Inception V3 trains slightly faster: 31 against 28 steps/s (table 3)",
        better: inception,
        worse: plain,
        measure: "speed",
      },
    );
  }
  for (const without of named((values) => isXception(values) && !values.residual)) {
    claims.push({ text: "Residual connections help (figure 9)", better: plain, worse: without, measure: "accuracy" });
  }
  for (const activated of named((values) => isXception(values) && values.intermediateActivation !== "none")) {
    const text = "No activation between depthwise and pointwise step is best (figure 10)";
    claims.push({ text, better: plain, worse: activated, measure: "accuracy" });
  }
  return claims;
}
