import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { DataError, UsageError, WeightsError, XceptionError } from "../../../src/base/errors.ts";
import type { Device, ImageCodec, ImageSource, Platform } from "../../../src/base/platform.ts";
import { factsOf } from "../../../src/report/document.ts";
import { toHtml } from "../../../src/report/html.ts";
import { searchDocument } from "../../../src/report/search-sheet.ts";
import { assertWritable, writeFileAtomic } from "../../../src/runtime/node/files.ts";
import { nodePlatform } from "../../../src/runtime/node/platform.ts";
import {
  type Embeddings,
  type EmbeddingsOrigin,
  type Neighbor,
  nearest,
  readEmbeddings,
} from "../../../src/tasks/features/embeddings.ts";
import { addDownloadOptions, type DownloadFlags } from "../downloads.ts";
import { openExtractor, pathIn } from "../extractor.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addCommand, countOf, deviceOption } from "../options.ts";
import { extensionOf } from "../output-file.ts";

interface SearchFlags extends DownloadFlags {
  readonly model?: string;
  readonly top: number;
  readonly output?: string;
  readonly device?: Device;
  readonly json?: boolean;
}

/** The image to search for. */
interface Query {
  readonly file: string;
  readonly label?: string | undefined;
  readonly image: ImageSource;
  /** Its row in the embeddings, if it is one of their images. */
  readonly row?: number | undefined;
}

export function registerSearch(program: Command, io: CliIo): void {
  const command = addCommand(program, "search <image> <embeddings>", {
    summary: "Find the images most similar to one",
    details:
      "Ranks the images of an embeddings file (see xception embed) by cosine similarity. IMAGE is a file, " +
      "- for standard input, or an image of the embeddings by its path there; other images are embedded " +
      "with the model recorded in the file.",
    examples: [
      "xception search cat.jpg embeddings.safetensors",
      "xception search cat.jpg embeddings.safetensors -o sheet.html",
    ],
  })
    .option("--model <model>", "where that model is now (default: where it was then)")
    .option("--top <n>", "number of images to find", countOf("--top"), 12)
    .option("-o, --output <file>", "also write a page with the images (.html)")
    .addOption(deviceOption());
  addDownloadOptions(command).action(async (image: string, file: string, flags: SearchFlags) => {
    const { top, output, json } = flags;
    if (output !== undefined) {
      extensionOf(output, ["html", "htm"], "--output");
      await assertWritable(output);
    }
    const embeddings = readEmbeddings(await nodePlatform.files.read(file), `embeddings ${JSON.stringify(file)}`);
    const folder = pathIn(file, embeddings.origin?.folder ?? ".");
    const query = await queryOf(image, embeddings, folder, io);
    const values = await valuesOf(query, embeddings, file, flags, io);
    const found = nearest(values, embeddings, { top, except: query.row });
    if (output !== undefined) {
      await writeFileAtomic(output, await sheetOf(query, found, embeddings, folder, nodePlatform));
    }
    const { file: name, label } = query;
    if (json) writeJson(io, { query: { file: name, label }, neighbors: found, sheet: output });
    else io.stdout(describe(found));
  });
}

async function queryOf(image: string, { images }: Embeddings, folder: string, io: CliIo): Promise<Query> {
  if (image === "-") return { file: image, image: await io.stdin() };
  const named = images.findIndex(({ file }) => file === image);
  const row = named >= 0 ? named : images.findIndex(({ file }) => resolve(folder, file) === resolve(image));
  if (row >= 0) return { ...images[row]!, image: resolve(folder, images[row]!.file), row };
  if (existsSync(image)) return { file: image, image: image };
  throw new DataError({
    where: `image "${image}"`,
    what: `there is no such file, and none of the ${images.length} images of the embeddings has this path`,
    expected: `a file, or a path as in the embeddings, e.g. ${images[0]!.file}`,
  });
}

/** The embedding of the query: its row if it has one, else computed with the recorded model. */
async function valuesOf(
  { row, image }: Query,
  { values, origin }: Embeddings,
  file: string,
  flags: SearchFlags,
  io: CliIo,
): Promise<Float32Array> {
  const dimensions = values.shape[1]!;
  if (row !== undefined) return values.data.slice(row * dimensions, (row + 1) * dimensions);
  if (origin === undefined) {
    throw new UsageError({
      where: `embeddings "${file}"`,
      what: "the file does not record its model, so other images cannot be compared with its own",
      expected: "the path of one of its images",
      remedy: "Write the embeddings as .safetensors or .json.",
    });
  }
  const { network, architecture, allowMissing, key, layer, pooling } = origin;
  const model = flags.model ?? pathIn(file, origin.model);
  const extractor = await openExtractor({ model, network, architecture, allowMissing, key }, flags, io);
  try {
    const choice = { layers: [layer], pooling };
    assertSameModel(model, await extractor.digest(choice), origin, file);
    const [map] = await extractor.features(image, choice);
    return map!.values.data;
  } finally {
    await extractor.dispose();
  }
}

/** @throws {WeightsError} the model is not the one that made the embeddings. */
function assertSameModel(model: string, digest: string, origin: EmbeddingsOrigin, file: string): void {
  if (digest === origin.digest) return;
  throw new WeightsError({
    where: `model "${model}"`,
    what: `it is not the model that made the embeddings "${file}"`,
    received: `digest ${digest.slice(0, 16)}…`,
    expected: `${origin.digest.slice(0, 16)}…`,
    remedy: "Name the right model with --model, or embed the images again.",
  });
}

async function sheetOf(
  query: Query,
  found: readonly Neighbor[],
  { images, values, origin }: Embeddings,
  folder: string,
  platform: Platform,
): Promise<string> {
  const neighbors = await Promise.all(
    found.map(async (each) => ({ ...each, jpeg: await thumbnail(resolve(folder, each.file), platform.images) })),
  );
  const facts = factsOf({
    File: query.file,
    Class: query.label,
    "Compared by": `cosine similarity of ${values.shape[1]} numbers`,
    ...(origin && { "Layer and pooling": `${origin.layer}, ${origin.pooling}`, Model: origin.model }),
  });
  const jpeg = await thumbnail(query.image, platform.images);
  return toHtml(searchDocument({ query: { ...query, jpeg }, neighbors, searched: images.length, facts }));
}

function describe(found: readonly Neighbor[]): string {
  const width = Math.max(0, ...found.map(({ label = "" }) => label.length));
  const line = ({ similarity, label = "", file }: Neighbor) =>
    `${similarity.toFixed(4).padStart(7)}  ${label.padEnd(width)}  ${file}\n`;
  return found.map(line).join("");
}

/** Side of a thumbnail in pixels, twice its size on the page. */
const side = 320;

/** Makes a small square JPEG of an image, cropped at the center; undefined if the image cannot be read. */
export async function thumbnail(image: ImageSource, images: ImageCodec): Promise<Uint8Array | undefined> {
  try {
    const { data } = await images.decode(image, { width: side, height: side, fit: "cover" });
    const { default: sharp } = await import("sharp");
    return await sharp(data, { raw: { width: side, height: side, channels: 3 } })
      .jpeg({ quality: 80 })
      .toBuffer();
  } catch (error) {
    if (error instanceof XceptionError) return undefined;
    throw error;
  }
}
