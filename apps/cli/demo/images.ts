import { countPerClass, type ImageDataset } from "../../../src/data/dataset.ts";
import type { Fact } from "../../../src/report/document.ts";
import { type EmojiVendor, readEmoji } from "./emoji.ts";

/** What the demo learns from, and what it is tested on: the same emoji by two artists. */
export interface DemoImages {
  readonly training: ImageDataset;
  readonly test: ImageDataset;
}

/** Whose drawings they are. */
export const artists = { training: "Google", test: "Twitter" } as const;

const vendors: Readonly<Record<keyof DemoImages, EmojiVendor>> = { training: "google", test: "twitter" };

/** Who made the images and what one may do with them; the report shows some. */
export const credits: readonly Fact[] = [
  { name: "Training images", value: "Noto Emoji, © Google, Apache License 2.0 (github.com/googlefonts/noto-emoji)" },
  {
    name: "Test images",
    value:
      "Twemoji, © Twitter, Inc and other contributors, CC-BY 4.0 (github.com/jdecked/twemoji, creativecommons.org/licenses/by/4.0)",
  },
  {
    name: "Collected by",
    value: "emoji-data (github.com/iamcal/emoji-data); they are shown scaled and laid over white",
  },
];

/** @throws {DataError} the packages with the images are not installed. */
export async function readDemoImages(): Promise<DemoImages> {
  return { training: await readEmoji(vendors.training), test: await readEmoji(vendors.test) };
}

/** `270 flags, 169 smileys …`. */
export function describeImages(dataset: ImageDataset): string {
  const counts = countPerClass(dataset);
  return dataset.classes.map((name, label) => `${counts[label]} ${name}`).join(", ");
}

/** The accuracy of always giving the same answer, the most frequent one. */
export function simplestGuess(dataset: ImageDataset): { readonly label: string; readonly accuracy: number } {
  const counts = countPerClass(dataset);
  const most = Math.max(...counts);
  return { label: dataset.classes[counts.indexOf(most)]!, accuracy: most / dataset.samples.length };
}
