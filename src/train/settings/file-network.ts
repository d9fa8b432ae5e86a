import { UsageError, XceptionError } from "../../base/errors.ts";
import { outputLayer } from "../../graph/network.ts";
import type { WeightsFile } from "../../model/formats.ts";
import { sameLayers } from "../../models/layer-list.ts";
import { topIndex, topOn } from "../../models/parts.ts";
import {
  type Architecture,
  architectureNamed,
  buildNetwork,
  completeArchitecture,
  nameOfArchitecture,
  optionsOf,
  pickOptions,
  portDifferences,
} from "../../models/registry.ts";
import { chosenArchitecture } from "./choices.ts";
import { networkSettings } from "./network-settings.ts";
import { defaultSource, type ResolvedSettings, resolveSettings } from "./resolve.ts";
import { flagOf, type SettingName, type Settings, settingOf, wordsOf } from "./settings.ts";

/** Settings that do not affect the weights: they are taken from a file only by default. */
const free: readonly SettingName[] = ["imageSize", "dropout"];

/**
 * Completes settings by the network of the initial weights. It overrides defaults, and the network of a recipe, which does
 * not know the weights.
 * @param file source of the settings.
 * @param isPartial true if weights may be missing: then the network may differ.
 * @throws {UsageError} a flag or a configuration contradicts the file, or training has no settings for its network.
 */
export function withNetworkOf(
  architecture: Architecture,
  { settings, sources }: ResolvedSettings,
  { file, isPartial }: { readonly file: string; readonly isPartial: boolean },
): ResolvedSettings & { readonly taken: readonly SettingName[] } {
  const taken: SettingName[] = [];
  const values: Record<string, unknown> = { ...settings };
  const newSources = new Map(sources);
  for (const [key, value] of Object.entries(networkSettingsOf(architecture, file))) {
    const name = key as SettingName;
    if (JSON.stringify(settings[name]) === JSON.stringify(value)) continue;
    const source = sources.get(name) ?? defaultSource;
    const isFree = free.includes(name);
    if (source === defaultSource || (!isFree && source.startsWith("recipe "))) {
      values[name] = value;
      newSources.set(name, file);
      taken.push(name);
    } else if (!isFree && !isPartial) throw contradiction(name, source, settings[name], value, file);
  }
  return { settings: values as unknown as Settings, sources: newSources, taken };
}

/** Describes settings: `width 0.25, image size 96`. */
export function describeSettings(names: readonly SettingName[], settings: Settings): string {
  return names.map((name) => `${wordsOf(name)} ${settingOf(name).write(settings[name])}`).join(", ");
}

/** Training has settings for square images only. */
function networkSettingsOf(architecture: Architecture, file: string): Partial<Settings> {
  const name = nameOfArchitecture(architecture);
  if (name === undefined) return {};
  assertSameDetails(architecture, architectureNamed(name), file);
  const options = optionsOf(completeArchitecture(architecture));
  const [height, side] = options.inputShape!;
  const common: Partial<Settings> = { architecture: name, ...(height === side && { imageSize: side }) };
  return { ...common, ...pickOptions(name, options) };
}

/** @throws {UsageError} the network has an option without a setting. */
function assertSameDetails(received: Architecture, expected: Architecture, file: string): void {
  for (const { option, values } of portDifferences(received, expected)) {
    throw new UsageError({
      where: `weights of ${file}`,
      what: `there is no setting for their network's "${option}"`,
      received: values[0],
      expected: `${values[1]}`,
      remedy: "Train with the library: train(dataset, { network, weights }).",
    });
  }
}

function contradiction(name: SettingName, source: string, received: unknown, expected: unknown, file: string) {
  const where = source === "flag" ? `option ${flagOf(name)}` : `${source}, ${name}`;
  return new UsageError({
    where,
    what: `the weights of ${file} belong to another network`,
    received,
    expected: `${settingOf(name).write(expected)}, as in the file`,
    remedy: "Leave it out, or list the weights to reinitialize with --allow-missing.",
  });
}

const settingsOfNetwork = [...Object.keys(networkSettings), "imageSize"];

/**
 * The whole network of a truncated model of `xception train`, and the earlier layer that its classifier is on; from the recipe
 * in its provenance, if that gives the model's layers.
 */
export function networkOfRun({ metadata, describedNetwork }: WeightsFile) {
  const recipe = metadata?.provenance?.recipe;
  if (typeof recipe !== "object" || recipe === null || Array.isArray(recipe) || !describedNetwork) return undefined;
  const recorded = new Map(Object.entries(recipe));
  const values = Object.fromEntries(settingsOfNetwork.map((name) => [name, recorded.get(name)]));
  try {
    const { network } = describedNetwork();
    const top = network.layers[topIndex(network) ?? -1];
    const classifier = outputLayer(network).config;
    if (top === undefined || classifier.type !== "Dense") return undefined;
    const { settings } = resolveSettings([{ source: "recipe", values, where: (name) => name }]);
    const classifierActivation = classifier.activation === "sigmoid" ? "sigmoid" : "softmax";
    const architecture = chosenArchitecture(settings, { classes: classifier.units, classifierActivation });
    const headOn = top.inbound[0]!;
    return sameLayers(network, topOn(buildNetwork(architecture), headOn)) ? { architecture, headOn } : undefined;
  } catch (cause) {
    // The recipe of another program.
    if (cause instanceof XceptionError) return undefined;
    throw cause;
  }
}
