/**
 * Which injected problems does `xception data` find? Copies a folder, gives 3 % of the images the label of another class, and
 * adds 20 copies of each kind: the same file, encoded again, resized by ±25 %, mirrored, and some that only embeddings show.
 * Wrong labels are counted over five choices of the images.
 * `npx tsx bench/data.ts FOLDER WEIGHTS`, the weights through block 13 of Keras's Xception
 */

import { copyFileSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, extname, join } from "node:path";
import sharp, { type Sharp } from "sharp";
import { folderDataset, type ImageDataset } from "../src/data/dataset.ts";
import { nodePlatform as platform } from "../src/runtime/node/platform.ts";
import { examineData } from "../src/tasks/data/examination.ts";
import { findLabelIssues, type LabeledFeatures } from "../src/tasks/data/label-issues.ts";
import { embed } from "../src/tasks/features/embed.ts";
import { mulberry32, shuffledIndices } from "../src/tensor/random.ts";
import { type Row, rounded, writeResult } from "./measurement.ts";

const [folder, weights] = process.argv.slice(2);
if (folder === undefined || weights === undefined) throw new Error("usage: npx tsx bench/data.ts FOLDER WEIGHTS");
const copiesOfKind = 20;
const rounds = 5;

/** Ways to copy an image, from the file to another one. */
type Way = (from: string, to: string, index: number) => unknown;
const ways: Readonly<Record<string, Way>> = {
  "the same file": (from, to) => copyFileSync(from, to),
  "encoded again": (from, to) => sharp(from).jpeg({ quality: 70 }).toFile(to),
  "resized by ±25 %": async (from, to, index) => {
    const { width } = await sharp(from).metadata();
    return sharp(from)
      .resize({ width: Math.round(width * (index % 2 === 0 ? 0.75 : 1.25)) })
      .toFile(to);
  },
  mirrored: (from, to) => sharp(from).flop().jpeg({ quality: 85 }).toFile(to),
};
/** Leaves out the borders, more on one side or the other. */
const crop =
  (part: number, change = (image: Sharp) => image): Way =>
  async (from, to, index) => {
    const size = await sharp(from).metadata();
    const [width, height] = [Math.round(part * size.width), Math.round(part * size.height)];
    const share = index / (copiesOfKind - 1);
    const [left, top] = [Math.floor(share * (size.width - width)), Math.floor((1 - share) * (size.height - height))];
    await change(sharp(from).extract({ left, top, width, height })).jpeg({ quality: 85 }).toFile(to);
  };
/** Ways that leave an image similar, but no copy. */
const similarWays: Readonly<Record<string, Way>> = {
  "brighter by 35 %": (from, to) => sharp(from).modulate({ brightness: 1.35 }).toFile(to),
  "other colors (hue by 40°)": (from, to) => sharp(from).modulate({ hue: 40, saturation: 1.5 }).toFile(to),
  "90 % of each side": crop(0.9),
  "85 % of each side, mirrored": crop(0.85, (image) => image.flop()),
  "75 % of each side": crop(0.75),
  "rotated by 5°": (from, to) => sharp(from).rotate(5, { background: "white" }).toFile(to),
};

/** Embeddings by the feature map before block 14. */
async function featuresOf(dataset: ImageDataset): Promise<LabeledFeatures> {
  const images = dataset.samples.map(({ image, name, label }) => ({
    image,
    file: name,
    label: dataset.classes[label]!,
  }));
  const network = { includeTop: false, inputShape: [224, 224, 3] } as const;
  const embedded = await embed(weights!, images, { network, layer: "add_11", allowMissing: "*", platform });
  return { values: embedded.values, images: embedded.images.map(({ file, label }) => ({ file, label: label! })) };
}

const rows: Row[] = [];
let features: LabeledFeatures;
const dirty = mkdtempSync(join(tmpdir(), "dirty-"));
try {
  cpSync(folder, dirty, { recursive: true });
  const { samples } = folderDataset(await platform.files.list(dirty));
  const clean = folderDataset(await platform.files.list(dirty));
  features = await featuresOf(clean);
  const before = await examineData(clean, { platform, features });
  const order = shuffledIndices(samples.length, mulberry32(1));
  const injected: { readonly kind: string; readonly from: string; readonly to: string }[] = [];
  for (const [place, [kind, copy]] of Object.entries({ ...ways, ...similarWays }).entries()) {
    for (let index = 0; index < copiesOfKind; index++) {
      const from = samples[order[place * copiesOfKind + index]!]!.name;
      const to = `${dirname(from)}/copy-${place}-${basename(from, extname(from))}${extname(from)}`;
      await copy(join(dirty, from), join(dirty, to), index);
      injected.push({ kind, from, to });
    }
  }
  const dataset = folderDataset(await platform.files.list(dirty));
  const found = await examineData(dataset, { platform, features: await featuresOf(dataset) });
  const isIn = (groups: readonly { readonly files: readonly string[] }[]) => (each: (typeof injected)[number]) =>
    groups.some(({ files }) => files.includes(each.from) && files.includes(each.to));
  for (const kind of Object.keys(ways)) {
    const own = injected.filter((each) => each.kind === kind);
    const copies = own.filter(isIn(found.duplicates)).length;
    rows.push({ problem: `copies, ${kind}`, injected: own.length, found: copies, others: "" });
  }
  for (const kind of Object.keys(similarWays)) {
    const own = injected.filter((each) => each.kind === kind);
    const [copies, similar] = [found.duplicates, found.similar!].map((groups) => own.filter(isIn(groups)).length);
    const others = `${copies} as copies`;
    rows.push({ problem: `similar, ${kind}`, injected: own.length, found: copies! + similar!, others });
  }
  const othersOf = (groups: typeof found.duplicates) => groups.reduce((sum, { files }) => sum + files.length - 1, 0);
  rows.push({
    problem: "copies in the folder itself",
    injected: 0,
    found: othersOf(before.duplicates),
    others: before.duplicates.map(({ kind, files }) => `${kind} ${files.join(" ")}`).join("; "),
  });
  rows.push({ problem: "similar in the folder itself", injected: 0, found: before.similar!.length, others: "" });
  for (const { files } of before.similar!) console.log(files.join(" "));
} finally {
  rmSync(dirty, { recursive: true });
}

const classes = [...new Set(features.images.map(({ label }) => label))];
const count = Math.round(0.03 * features.images.length);
for (let round = 0; round < rounds; round++) {
  const random = mulberry32(100 + round);
  const wrong = new Set(shuffledIndices(features.images.length, random).slice(0, count));
  const images = features.images.map(({ file: name, label }, index) => {
    const others = classes.filter((each) => each !== label);
    return { file: name, label: wrong.has(index) ? others[Math.floor(random() * others.length)]! : label };
  });
  const { issues, accuracy } = findLabelIssues({ images, values: features.values });
  const names = new Set([...wrong].map((index) => images[index]!.file));
  const right = issues.filter(({ file: name }) => names.has(name)).length;
  const others = `precision ${rounded(right / issues.length, 2)}, recall ${rounded(right / count, 2)}, accuracy ${rounded(accuracy, 2)}`;
  rows.push({
    problem: `wrong labels, choice ${round + 1}`,
    injected: count,
    found: `${right} of ${issues.length}`,
    others,
  });
}
writeResult("data", { question: "Which injected problems does xception data find?", rows });
