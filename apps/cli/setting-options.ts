import { type Command, Option } from "commander";
import type { Setting } from "../../src/train/settings/setting.ts";
import { flagOf, type SettingName, settingOf, settings } from "../../src/train/settings/settings.ts";
import { valueReader } from "./options.ts";

/** Stands for null among commander's values, for commander takes null for an empty text. */
const none = Symbol("none");

/** Gives a command a flag for each setting, under a heading of its help. A flag that is not given has no value. */
export function addSettingOptions(command: Command, table: Readonly<Record<string, unknown>>, title: string): Command {
  for (const [name, setting] of Object.entries(table)) {
    for (const option of optionsOf(name, setting as Setting<unknown>)) command.addOption(option.helpGroup(`${title}:`));
  }
  return command;
}

/** The settings among what commander made of a command's flags: those that were given. */
export function givenSettings(flags: object): Readonly<Record<string, unknown>> {
  const given = Object.entries(flags).filter(([name, value]) => Object.hasOwn(settings, name) && value !== undefined);
  return Object.fromEntries(given.map(([name, value]) => [name, value === none ? null : value]));
}

/** The flag that says a setting, as words of a command line. */
export function settingWords(name: SettingName, value: unknown): readonly string[] {
  const { placeholder, write } = settingOf(name);
  return placeholder === "" ? [value === true ? flagOf(name) : negated(name)] : [flagOf(name), write(value)];
}

/** One flag, or for a setting that is on or off the two ways of it; the help shows the one that changes something. */
function optionsOf(name: string, setting: Setting<unknown>): Option[] {
  const { placeholder, about } = setting;
  if (placeholder === "") {
    return [
      new Option(flagOf(name), about).hideHelp(setting.default === true),
      new Option(negated(name), `without ${about}`).hideHelp(setting.default !== true),
    ];
  }
  return [new Option(`${flagOf(name)} ${placeholder}`, describe(setting)).argParser(readerOf(flagOf(name), setting))];
}

function describe({ about, choices, only, default: value, defaultText, write }: Setting<unknown>): string {
  const notes = [
    ...(choices ? [choices.join(", ")] : []),
    ...(only && defaultText === undefined ? [`${only.join(", ")} only`] : []),
    `default: ${defaultText ?? write(value)}`,
  ];
  return `${about} (${notes.join("; ")})`;
}

/** A reader of the flag's value for commander's `argParser`. */
function readerOf(flag: string, setting: Setting<unknown>): (text: string) => unknown {
  const read = valueReader(flag, setting);
  return (text) => read(text) ?? none;
}

function negated(name: string): string {
  return flagOf(name).replace("--", "--no-");
}
