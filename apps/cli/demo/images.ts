import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { DataError } from "../../../src/base/errors.ts";
import { countPerClass, type ImageDataset } from "../../../src/data/dataset.ts";
import type { Fact } from "../../../src/report/document.ts";

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

/** Who drew the images: the same emoji look different, which is what makes one a fair test for the other. */
export type EmojiVendor = "google" | "twitter";

/** Unicode's category and what we call it, in the order of the labels. */
const categories: Readonly<Record<string, string>> = {
  Flags: "flags",
  "Smileys & Emotion": "smileys",
  "People & Body": "people",
  "Animals & Nature": "animals & plants",
  "Food & Drink": "food",
};

/** What we read of an entry of `emoji.json`. */
type Emoji = Readonly<Record<"name" | "image" | "category", string>> &
  Readonly<Record<`has_img_${EmojiVendor}`, boolean>>;

/**
 * All emoji of five Unicode categories as one vendor draws them: 64×64 PNG with transparency, 1115 images.
 *
 * Skin tones are left out. They are 1875 near copies of 320 or so people, and with them three of four images would show
 * people: a network that always says "people" would look good.
 *
 * @param lookUpFrom file or URL whose `node_modules` has the images.
 * @throws {DataError} the package with the images is not installed.
 */
export async function readEmoji(vendor: EmojiVendor, lookUpFrom: string = import.meta.url): Promise<ImageDataset> {
  const list = findPackageFile(`emoji-datasource-${vendor}`, lookUpFrom);
  const folder = join(dirname(list), "img", vendor, "64");
  const emoji = (JSON.parse(await readFile(list, "utf8")) as readonly Emoji[]).filter(
    (entry) => entry[`has_img_${vendor}`] && entry.category in categories,
  );
  const labels = Object.keys(categories);
  return {
    classes: Object.values(categories),
    samples: emoji.map(({ image, category, name }) => ({
      image: join(folder, image),
      label: labels.indexOf(category),
      name: name.toLowerCase(),
    })),
  };
}

function findPackageFile(name: string, lookUpFrom: string): string {
  try {
    return createRequire(lookUpFrom).resolve(`${name}/emoji.json`);
  } catch (cause) {
    throw new DataError({
      where: "images of the demo",
      what: `the package ${name} is not installed`,
      remedy: "Run `npm install` in the project's folder: it is one of the development dependencies.",
      cause,
    });
  }
}
