import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { ImageDataset } from "../../../src/data/dataset.ts";
import { DataError } from "../../../src/errors.ts";

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
