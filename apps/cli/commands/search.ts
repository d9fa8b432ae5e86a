import { existsSync } from "node:fs";
import type { Command } from "commander";
import { DataError, UsageError } from "../../../src/base/errors.ts";
import type { Device, ImageSource } from "../../../src/base/platform.ts";
import { printableLine } from "../../../src/base/printable.ts";
import { factsOf } from "../../../src/report/document.ts";
import { toHtml } from "../../../src/report/html.ts";
import { searchDocument } from "../../../src/report/search-sheet.ts";
import { assertWritable, writeFileAtomic } from "../../../src/runtime/node/files.ts";
import { nodePlatform } from "../../../src/runtime/node/platform.ts";
import { originOf, search } from "../../../src/tasks/features/embed.ts";
import { type Embeddings, type Neighbor, nearest } from "../../../src/tasks/features/embeddings.ts";
import { addDownloadOptions, addPixelLimit, type DownloadFlags, platformFor } from "../downloads.ts";
import { type EmbeddingsPlace, imagePath, openEmbeddings, rowOf, thumbnail, thumbnailsOf } from "../embedded-images.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addHelp, countOf, deviceOption } from "../options.ts";
import { extensionOf } from "../output-file.ts";
import { pathBelow } from "../recorded-path.ts";

interface SearchFlags extends DownloadFlags {
  readonly model?: string;
  readonly folder?: string;
  readonly top: number;
  readonly output?: string;
  readonly device?: Device;
  readonly json?: boolean;
}

/** The image to search for. */
interface Query {
  readonly file: string;
  readonly label?: string | undefined;
  /** Undefined if it has a row, but is outside the embeddings' folder. */
  readonly image: ImageSource | undefined;
  /** Its row in the embeddings, if it is one of their images. */
  readonly row?: number | undefined;
}

export default function registerSearch(command: Command, io: CliIo): void {
  addHelp(command, {
    details:
      "Ranks the images of an embeddings file (see xception embed) by cosine similarity. IMAGE is a file, " +
      "- for standard input, or an image of the embeddings by its path there; other images are embedded " +
      "with the model recorded in the file. The model and the images shown must be below the file's folder, " +
      "unless --model and --folder name them.",
    examples: [
      "xception search cat.jpg embeddings.safetensors",
      "xception search cat.jpg embeddings.safetensors -o sheet.html",
    ],
  })
    .option("--model <model>", "path or URL of that model (default: the recorded path)")
    .option("--folder <folder>", "folder of the images (default: the recorded one)")
    .option("--top <n>", "number of images to find", countOf("--top"), 12)
    .option("-o, --output <file>", "also write a page with the images (.html)")
    .addOption(deviceOption());
  addPixelLimit(addDownloadOptions(command)).action(async (image: string, file: string, flags: SearchFlags) => {
    const { output, json } = flags;
    if (output !== undefined) {
      extensionOf(output, ["html", "htm"], "--output");
      await assertWritable(output);
    }
    const { embeddings, place } = await openEmbeddings(file, flags.folder);
    const query = await queryOf(image, embeddings, place, io);
    const found = await neighborsOf(query, embeddings, file, flags, io);
    if (output !== undefined) {
      await writeFileAtomic(output, await sheetOf(query, found, embeddings, place, io));
    }
    const { file: name, label } = query;
    if (json) writeJson(io, { query: { file: name, label }, neighbors: found, sheet: output });
    else io.stdout(describe(found));
  });
}

async function queryOf(image: string, { images }: Embeddings, place: EmbeddingsPlace, io: CliIo): Promise<Query> {
  if (image === "-") return { file: image, image: await io.stdin() };
  const named = images.findIndex(({ file }) => file === image);
  if (named >= 0) return { ...images[named]!, image: imagePath(place, image), row: named };
  const row = rowOf(image, images, place);
  if (row !== undefined) return { ...images[row]!, image, row };
  if (existsSync(image)) return { file: image, image: image };
  throw new DataError({
    where: `image "${image}"`,
    what: `there is no such file, and none of the ${images.length} images of the embeddings has this path`,
    expected: `a file, or a path as in the embeddings, e.g. ${images[0]!.file}`,
  });
}

/** The images most similar to the query: its own row needs no model, else it is embedded with the recorded one. */
async function neighborsOf(
  { row, image }: Query,
  embeddings: Embeddings,
  file: string,
  { top, ...flags }: SearchFlags,
  io: CliIo,
): Promise<readonly Neighbor[]> {
  const { shape, data } = embeddings.values;
  const dimensions = shape[1]!;
  if (row !== undefined) {
    return nearest(data.slice(row * dimensions, (row + 1) * dimensions), embeddings, { top, except: row });
  }
  const where = `embeddings "${file}"`;
  const { model: recorded } = originOf(embeddings, where);
  const model = flags.model ?? pathBelow(file, recorded);
  if (model === undefined) {
    throw new UsageError({
      where,
      what: "the recorded model is not below the file's folder, so it is not opened unasked",
      received: recorded,
      remedy: "If you trust it, name it with --model.",
    });
  }
  const session = { device: flags.device, signal: io.signal };
  return search(model, image!, embeddings, { platform: platformFor(flags, io), session, top });
}

async function sheetOf(
  query: Query,
  found: readonly Neighbor[],
  { images, values, origin }: Embeddings,
  place: EmbeddingsPlace,
  io: CliIo,
): Promise<string> {
  const { images: codec } = nodePlatform;
  const jpegs = await thumbnailsOf(found, place, codec, io);
  const neighbors = found.map((each) => ({ ...each, jpeg: jpegs.get(each.file) }));
  const facts = factsOf({
    File: query.file,
    Class: query.label,
    "Compared by": `cosine similarity of ${values.shape[1]} numbers`,
    ...(origin && { "Layer and pooling": `${origin.layer}, ${origin.pooling}`, Model: origin.model }),
  });
  const jpeg = await thumbnail(query.image, codec);
  return toHtml(searchDocument({ query: { ...query, jpeg }, neighbors, searched: images.length, facts }));
}

function describe(found: readonly Neighbor[]): string {
  const labels = found.map(({ label = "" }) => printableLine(label));
  const width = Math.max(0, ...labels.map((label) => label.length));
  const line = ({ similarity, file }: Neighbor, index: number) =>
    `${similarity.toFixed(4).padStart(7)}  ${labels[index]!.padEnd(width)}  ${printableLine(file)}\n`;
  return found.map(line).join("");
}
