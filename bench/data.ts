/**
 * Which injected problems does `xception data` find? Copies a folder, gives 3 % of the images the label of another class, and
 * adds 20 copies of each kind: the same file, encoded again, resized by ±25 %, mirrored. Wrong labels are counted over five
 * choices of the images.
 * `npx tsx bench/data.ts FOLDER EMBEDDINGS`, the embeddings by `xception embed MODEL FOLDER -o EMBEDDINGS`
 */

import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, extname, join } from "node:path";
import sharp from "sharp";
import { folderDataset } from "../src/data/dataset.ts";
import { nodePlatform as platform } from "../src/runtime/node/platform.ts";
import { examineData } from "../src/tasks/data/examination.ts";
import { findLabelIssues } from "../src/tasks/data/label-issues.ts";
import { readEmbeddings } from "../src/tasks/features/embeddings.ts";
import { mulberry32, shuffledIndices } from "../src/tensor/random.ts";
import { type Row, rounded, writeResult } from "./measurement.ts";

const [folder, file] = process.argv.slice(2);
if (folder === undefined || file === undefined) throw new Error("usage: npx tsx bench/data.ts FOLDER EMBEDDINGS");
const copiesOfKind = 20;
const rounds = 5;

/** Ways to copy an image, from the file to another one. */
const ways: Readonly<Record<string, (from: string, to: string, index: number) => unknown>> = {
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

const rows: Row[] = [];
const dirty = mkdtempSync(join(tmpdir(), "dirty-"));
try {
  cpSync(folder, dirty, { recursive: true });
  const { samples } = folderDataset(await platform.files.list(dirty));
  const before = await examineData(folderDataset(await platform.files.list(dirty)), { platform });
  const order = shuffledIndices(samples.length, mulberry32(1));
  const injected: { readonly kind: string; readonly from: string; readonly to: string }[] = [];
  for (const [place, [kind, copy]] of Object.entries(ways).entries()) {
    for (let index = 0; index < copiesOfKind; index++) {
      const from = samples[order[place * copiesOfKind + index]!]!.name;
      const to = `${dirname(from)}/copy-${place}-${basename(from, extname(from))}${extname(from)}`;
      await copy(join(dirty, from), join(dirty, to), index);
      injected.push({ kind, from, to });
    }
  }
  const start = performance.now();
  const found = await examineData(folderDataset(await platform.files.list(dirty)), { platform });
  const seconds = (performance.now() - start) / 1000;
  const isFound = ({ from, to }: (typeof injected)[number]) =>
    found.duplicates.some(({ files }) => files.includes(from) && files.includes(to));
  for (const kind of Object.keys(ways)) {
    const own = injected.filter((each) => each.kind === kind);
    rows.push({ problem: `copies, ${kind}`, injected: own.length, found: own.filter(isFound).length, others: "" });
  }
  const othersOf = (groups: typeof found.duplicates) => groups.reduce((sum, { files }) => sum + files.length - 1, 0);
  rows.push({
    problem: "copies in the folder itself",
    injected: 0,
    found: othersOf(before.duplicates),
    others: before.duplicates.map(({ kind, files }) => `${kind} ${files.join(" ")}`).join("; "),
  });
  console.log(`${found.images} images in ${rounded(seconds, 1)} s`);
} finally {
  rmSync(dirty, { recursive: true });
}

const embeddings = readEmbeddings(new Uint8Array(readFileSync(file)), file);
const classes = [...new Set(embeddings.images.map(({ label }) => label!))];
const count = Math.round(0.03 * embeddings.images.length);
for (let round = 0; round < rounds; round++) {
  const random = mulberry32(100 + round);
  const wrong = new Set(shuffledIndices(embeddings.images.length, random).slice(0, count));
  const images = embeddings.images.map(({ file: name, label }, index) => {
    const others = classes.filter((each) => each !== label);
    return { file: name, label: wrong.has(index) ? others[Math.floor(random() * others.length)]! : label! };
  });
  const { issues, accuracy } = findLabelIssues({ images, values: embeddings.values });
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
