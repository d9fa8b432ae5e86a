import { type Command, Option } from "commander";
import type { Setting } from "../../src/train/settings/setting.ts";
import { flagOf, type SettingName, settingOf, settings } from "../../src/train/settings/settings.ts";
import { valueReader } from "./options.ts";

/** Represents null among commander's values, since commander turns null into an empty string. */
const none = Symbol("none");

/** Adds a flag for each setting to a command, under a heading of its help. Flags that are not given have no value. */
export function addSettingOptions(command: Command, table: Readonly<Record<string, unknown>>, title: string): Command {
  for (const [name, setting] of Object.entries(table)) {
    for (const option of optionsOf(name, setting as Setting<unknown>)) command.addOption(option.helpGroup(`${title}:`));
  }
  return command;
}

/** The settings of a table among a command's flags that were given; default: those of training. */
export function givenSettings(flags: object, table: object = settings): Readonly<Record<string, unknown>> {
  const given = Object.entries(flags).filter(([name, value]) => Object.hasOwn(table, name) && value !== undefined);
  return Object.fromEntries(given.map(([name, value]) => [name, value === none ? null : value]));
}

/** The flag for a setting's value, as words of a command line. */
export function settingWords(name: SettingName, value: unknown): readonly string[] {
  const { placeholder, write } = settingOf(name);
  return placeholder === "" ? [value === true ? flagOf(name) : negated(name)] : [flagOf(name), write(value)];
}

/** The flag of a setting; for one that is on or off, both flags, of which the help shows the one that changes it. */
function optionsOf(name: string, setting: Setting<unknown>): Option[] {
  const { placeholder, only } = setting;
  if (placeholder === "") {
    const about = only ? `${setting.about} (${only.join(", ")} only)` : setting.about;
    return [
      new Option(flagOf(name), about).hideHelp(setting.default === true),
      new Option(negated(name), `without ${about}`).hideHelp(setting.default !== true),
    ];
  }
  const read = valueReader(flagOf(name), setting);
  return [new Option(`${flagOf(name)} ${placeholder}`, describe(setting)).argParser((text) => read(text) ?? none)];
}

function describe({ about, choices, only, default: value, defaultText, write }: Setting<unknown>): string {
  const notes = [
    ...(choices ? [choices.join(", ")] : []),
    ...(only && defaultText === undefined ? [`${only.join(", ")} only`] : []),
    `default: ${defaultText ?? write(value)}`,
  ];
  return `${about} (${notes.join("; ")})`;
}

function negated(name: string): string {
  return flagOf(name).replace("--", "--no-");
}
