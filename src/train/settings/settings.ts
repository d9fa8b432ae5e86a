import type { ValueOf } from "../../base/kinds.ts";
import { augmentationSettings } from "./augmentation-settings.ts";
import { fineTuningSettings, weightsSettings } from "./fine-tuning-settings.ts";
import { networkSettings } from "./network-settings.ts";
import { optimizerSettings, scheduleSettings } from "./optimizer-settings.ts";
import type { Setting } from "./setting.ts";
import { imageSettings, lengthSettings, rankSettings } from "./training-settings.ts";

/**
 * Every setting of a training, by its name in a configuration file: the one source of what flags, files, recipes and
 * documents say about it.
 */
export const settings = {
  ...imageSettings,
  ...augmentationSettings,
  ...networkSettings,
  ...weightsSettings,
  ...fineTuningSettings,
  ...lengthSettings,
  ...optimizerSettings,
  ...scheduleSettings,
  ...rankSettings,
};

/** Name of a training setting, as in a settings file. */
export type SettingName = keyof typeof settings;

/** A value for every setting: how a network is trained, nothing left open. */
export type Settings = { readonly [Name in SettingName]: ValueOf<(typeof settings)[Name]> };

export const settingNames = Object.keys(settings) as readonly SettingName[];

/** The settings under the headings that the help and the documents use. */
export const settingGroups: readonly { readonly title: string; readonly names: readonly SettingName[] }[] = [
  { title: "Images", names: namesOf(imageSettings) },
  { title: "Augmentation", names: namesOf(augmentationSettings) },
  { title: "Network", names: namesOf(networkSettings) },
  { title: "Weights to start from", names: namesOf(weightsSettings) },
  { title: "Fine-tuning", names: namesOf(fineTuningSettings) },
  { title: "Training", names: namesOf(lengthSettings) },
  { title: "Optimizer", names: namesOf(optimizerSettings) },
  { title: "Learning rate schedule", names: namesOf(scheduleSettings) },
  { title: "Several processes", names: namesOf(rankSettings) },
];

/** The setting of a name, whatever its values are. */
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
