import { parse, stringify } from "yaml";
import { FormatError } from "../../base/errors.ts";
import type { ResolvedSettings, SettingsLayer } from "./resolve.ts";
import { settingGroups } from "./settings.ts";

/** Contents of a configuration file. */
export interface ConfigFile {
  /** The recipe that it is based on. */
  readonly recipe: string | undefined;
  readonly layer: SettingsLayer;
}

/**
 * Reads a configuration in YAML or JSON: settings by name, and `recipe`. The settings are checked by `resolveSettings`.
 * @param name of the file in messages.
 * @throws {FormatError} it is not YAML, or not a list of names and values.
 * @example readConfig("recipe: finetune\nepochs: 5", "mine.yaml")
 */
export function readConfig(text: string, name: string): ConfigFile {
  const where = `file "${name}"`;
  const document = parseYaml(text, where) ?? {};
  if (!isSettings(document)) {
    throw new FormatError({ where, what: "there are no settings in it", expected: "lines like epochs: 5" });
  }
  const { recipe, ...values } = document;
  if (recipe !== undefined && typeof recipe !== "string") {
    throw new FormatError({ where: `${where}, recipe`, what: "this is no name", received: recipe });
  }
  return {
    recipe,
    layer: { source: name, values, where: (setting) => `${where}, ${setting}` },
  };
}

/** Writes settings for `readConfig`, each with its source as a comment. */
export function writeConfig({ settings, sources }: ResolvedSettings): string {
  const groups = settingGroups.flatMap(({ title, names }) => {
    const lines = names
      .filter((name) => sources.has(name))
      .map((name) => `${name}: ${asYaml(settings[name])} # ${sources.get(name)!.replaceAll(/\s+/g, " ")}`);
    return lines.length === 0 ? [] : [`# ${title}\n${lines.join("\n")}\n`];
  });
  return groups.join("\n");
}

/** A schema for records would silently drop a key `__proto__`. */
function isSettings(document: unknown): document is Readonly<Record<string, unknown>> {
  return typeof document === "object" && document !== null && !Array.isArray(document);
}

function asYaml(value: unknown): string {
  return stringify(value, { collectionStyle: "flow", flowCollectionPadding: false, lineWidth: 0 }).trim();
}

function parseYaml(text: string, where: string): unknown {
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    const [line = ""] = cause.message.split("\n");
    // The rest is advice to programmers.
    const first = line.replace(/; please use \S+/, "");
    throw new FormatError({ where, what: `this is neither YAML nor JSON (${first.replace(/[.:]$/, "")})`, cause });
  }
}
