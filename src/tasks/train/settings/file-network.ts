import { UsageError } from "../../../errors.ts";
import {
  type Architecture,
  architectureNamed,
  completeArchitecture,
  nameOfArchitecture,
  optionsOf,
  pickOptions,
  portDifferences,
} from "../../../models/registry.ts";
import { defaultSource, type ResolvedSettings } from "./resolve.ts";
import { flagOf, type SettingName, type Settings, settingOf, wordsOf } from "./settings.ts";

/** What of the network does not belong to its weights: a file's is only taken where nobody says anything. */
const free: readonly SettingName[] = ["imageSize", "dropout"];

/**
 * Settings completed by the network that the weights to start from are of. What nobody chose is as in the file; so is what a
 * recipe says of the network's parts, for a recipe does not know the weights.
 * @param file what the settings' source is called.
 * @param isPartial whether weights may be missing: then the network may be another one.
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

/** What was taken from the file, in words: `width 0.25, image size 96`. */
export function describeTaken(taken: readonly SettingName[], settings: Settings): string {
  return taken.map((name) => `${wordsOf(name)} ${settingOf(name).write(settings[name])}`).join(", ");
}

/** Training has settings for square images alone. */
function networkSettingsOf(architecture: Architecture, file: string): Partial<Settings> {
  const name = nameOfArchitecture(architecture);
  if (name === undefined) return {};
  assertSameDetails(architecture, architectureNamed(name), file);
  const options = optionsOf(completeArchitecture(architecture));
  const [height, side] = options.inputShape!;
  const common: Partial<Settings> = { architecture: name, ...(height === side && { imageSize: side }) };
  return { ...common, ...pickOptions(name, options, "network") };
}

/** @throws {UsageError} the network has a detail that no setting tells. */
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
    what: `the weights of ${file} are of another network`,
    received,
    expected: `${settingOf(name).write(expected)}, as in the file`,
    remedy: "Leave it out, or say with --allow-missing which weights start anew.",
  });
}
