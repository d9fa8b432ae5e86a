import { UsageError } from "../../base/errors.ts";
import type { KeySettings } from "./setting.ts";
import { flagOf, type SettingName, type Settings, settingNames, settingOf, settings } from "./settings.ts";

/** The source of defaults. */
export const defaultSource = "default";

/** Settings from one place. */
export interface SettingsLayer {
  /** Name in lists of settings, e.g. `recipe paper-jft`. */
  readonly source: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** Name of a setting in errors, e.g. `option --epochs`. */
  readonly where: (name: string) => string;
}

/** All settings of a run, and their sources. */
export interface ResolvedSettings {
  readonly settings: Settings;
  /** The source of each setting that has an effect, in the order of the table. */
  readonly sources: ReadonlyMap<SettingName, string>;
}

/**
 * Combines layers of settings: the first layer with a value decides, otherwise the default.
 *
 * If a layer chooses another optimizer or schedule than a later one, details of the later one are ignored, such as
 * `momentum: 0.9` of a recipe for SGD with `--optimizer adamw`.
 * @throws {UsageError} a layer names an unknown setting, a value is not allowed, or a setting does not go with the others.
 */
export function resolveSettings(given: readonly SettingsLayer[]): ResolvedSettings {
  const layers = withBrought(given.map(checkedLayer));
  const chosen = new Map<SettingName, number>();
  for (const name of settingNames) {
    const index = layers.findIndex(({ values }, at) => values[name] !== undefined && hasMeaning(layers, at, name));
    if (index >= 0) chosen.set(name, index);
  }
  settleAlternatives(layers, chosen);

  const effectiveValue = (name: SettingName, key: KeySettings): unknown => {
    const index = chosen.get(name);
    if (index !== undefined) return layers[index]!.values[name];
    const { default: value } = settingOf(name);
    return typeof value === "function" ? value(key) : value;
  };
  const names = ["architecture", "optimizer", "schedule", "epochs", "seed", "average"] as const;
  const key = Object.fromEntries(names.map((name) => [name, firstValue(layers, 0, name)])) as unknown as KeySettings;
  const values = Object.fromEntries(
    settingNames.map((name) => [name, effectiveValue(name, key)]),
  ) as unknown as Settings;
  const effective = settingNames.filter((name) => hasEffect(name, values));
  const sourceOf = (name: SettingName) => layers[chosen.get(name) ?? -1]?.source ?? defaultSource;
  return { settings: values, sources: new Map(effective.map((name) => [name, sourceOf(name)])) };
}

function checkedLayer({ values, where, source }: SettingsLayer): SettingsLayer {
  const checked: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(settings, name)) {
      throw new UsageError({
        where: where(name),
        what: "there is no such setting",
        // A file may name its recipe, too.
        remedy: suggestion(name, [...settingNames, "recipe"]) ?? "xception train --print-config lists them.",
      });
    }
    const { accept, expected } = settingOf(name as SettingName);
    checked[name] = accept(value);
    if (checked[name] === undefined) {
      throw new UsageError({ where: where(name), what: "this value is not allowed", received: value, expected });
    }
  }
  return { values: checked, where, source };
}

/** Adds a last layer for each setting that is on and brings values of others. */
function withBrought(layers: readonly SettingsLayer[]): readonly SettingsLayer[] {
  const brought = settingNames.flatMap((name): SettingsLayer[] => {
    const { brings } = settingOf(name);
    const isOn = layers.find(({ values }) => values[name] !== undefined)?.values[name] === true;
    if (brings === undefined || !isOn) return [];
    return [checkedLayer({ source: flagOf(name), values: brings, where: (other) => `${flagOf(name)}, ${other}` })];
  });
  return [...layers, ...brought];
}

/** The value of the first layer from `from` on that has one. */
function firstValue(layers: readonly SettingsLayer[], from: number, name: keyof KeySettings): unknown {
  const layer = layers.slice(from).find(({ values }) => values[name] !== undefined);
  return layer ? layer.values[name] : settings[name].default;
}

/** Returns false for a detail of another optimizer or schedule than an earlier layer chose. */
function hasMeaning(layers: readonly SettingsLayer[], index: number, name: SettingName): boolean {
  const { follows, only } = settingOf(name);
  if (follows === undefined) return true;
  const choice = firstValue(layers, 0, follows) as string;
  if (firstValue(layers, index, follows) !== choice) return false;
  if (only === undefined || only.includes(choice)) return true;
  const { where, values } = layers[index]!;
  throw new UsageError({
    where: where(name),
    what: `this does not go with ${follows} ${choice}`,
    received: values[name],
    expected: `${follows} ${only.join(" or ")}`,
  });
}

/** Keeps the one of two alternative settings that is in the earlier layer. */
function settleAlternatives(layers: readonly SettingsLayer[], chosen: Map<SettingName, number>): void {
  for (const name of settingNames) {
    const other = settingOf(name).insteadOf as SettingName | undefined;
    const own = chosen.get(name);
    if (other === undefined || own === undefined || layers[own]!.values[name] === null) continue;
    const others = chosen.get(other);
    if (others === undefined || others > own) chosen.delete(other);
    else if (others < own) chosen.delete(name);
    else {
      const { where } = layers[own]!;
      throw new UsageError({ where: where(name), what: `this cannot be set together with ${where(other)}` });
    }
  }
}

function hasEffect(name: SettingName, values: Settings): boolean {
  const { follows, only, insteadOf } = settingOf(name);
  if (only !== undefined && follows !== undefined && !only.includes(values[follows])) return false;
  if (insteadOf !== undefined) return values[name] !== null;
  return !settingNames.some((other) => settingOf(other).insteadOf === name && values[other] !== null);
}

/**
 * Suggests the name with the smallest edit distance, of equal ones the first, unless more than two and more than half of the
 * letters differ.
 */
export function suggestion(written: string, names: readonly string[]): string | undefined {
  const distances = names.map((name) => editDistance(written.toLowerCase(), name.toLowerCase()));
  const least = Math.min(...distances);
  return least > Math.max(2, written.length / 2) ? undefined : `Did you mean ${names[distances.indexOf(least)]}?`;
}

/** Levenshtein distance. @see Wagner and Fischer, The String-to-String Correction Problem, 1974 */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [above, letter] of [...a].entries()) {
    const next = [above + 1];
    for (const [index, other] of [...b].entries()) {
      next.push(Math.min(next[index]! + 1, row[index + 1]! + 1, row[index]! + (letter === other ? 0 : 1)));
    }
    row = next;
  }
  return row.at(-1)!;
}
