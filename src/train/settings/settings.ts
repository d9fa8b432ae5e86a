import type { ValueOf } from "../../base/kinds.ts";
import { fineTuningSettings, networkSettings, weightsSettings } from "./network-settings.ts";
import { optimizerSettings, scheduleSettings } from "./optimizer-settings.ts";
import type { Setting } from "./setting.ts";
import {
  augmentationSettings,
  imageSettings,
  lengthSettings,
  quantizationSettings,
  rankSettings,
} from "./training-settings.ts";

/** All training settings by their name in a configuration file: flags, recipes and documents derive from this table. */
export const settings = {
  ...imageSettings,
  ...augmentationSettings,
  ...networkSettings,
  ...weightsSettings,
  ...fineTuningSettings,
  ...lengthSettings,
  ...optimizerSettings,
  ...scheduleSettings,
  ...quantizationSettings,
  ...rankSettings,
};

/** Name of a training setting, as in a settings file. */
export type SettingName = keyof typeof settings;

/** A value for every setting. */
export type Settings = { readonly [Name in SettingName]: ValueOf<(typeof settings)[Name]> };

export const settingNames = Object.keys(settings) as readonly SettingName[];

/** The settings by the headings of the help and the documents. */
export const settingGroups: readonly { readonly title: string; readonly names: readonly SettingName[] }[] = [
  { title: "Images", names: namesOf(imageSettings) },
  { title: "Augmentation", names: namesOf(augmentationSettings) },
  { title: "Network", names: namesOf(networkSettings) },
  { title: "Weights to start from", names: namesOf(weightsSettings) },
  { title: "Fine-tuning", names: namesOf(fineTuningSettings) },
  { title: "Training", names: namesOf(lengthSettings) },
  { title: "Optimizer", names: namesOf(optimizerSettings) },
  { title: "Learning rate schedule", names: namesOf(scheduleSettings) },
  { title: "Training for int8", names: namesOf(quantizationSettings) },
  { title: "Several processes", names: namesOf(rankSettings) },
];

/** The setting of a name. */
export function settingOf(name: SettingName): Setting<unknown> {
  return settings[name] as unknown as Setting<unknown>;
}

/** Its flag: `learningRate` → `--learning-rate`. */
export function flagOf(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Its name in words: `randomErasing` → `random erasing`. */
export function wordsOf(name: string): string {
  return flagOf(name).slice(2).replaceAll("-", " ");
}

function namesOf(group: Readonly<Partial<Record<SettingName, unknown>>>): readonly SettingName[] {
  return Object.keys(group) as SettingName[];
}
