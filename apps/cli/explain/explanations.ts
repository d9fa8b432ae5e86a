import type { Device, Platform } from "../../../src/base/platform.ts";
import { printableLine } from "../../../src/base/printable.ts";
import { encodeNpy } from "../../../src/formats/npy.ts";
import type { ClassifierSession, LoadedModel } from "../../../src/model/load-model.ts";
import type { Fact } from "../../../src/report/document.ts";
import { drawExplanation, type ExplainedImage, explanationDocument } from "../../../src/report/explanation.ts";
import { toHtml } from "../../../src/report/html.ts";
import { formatPercent } from "../../../src/report/numbers.ts";
import { writeFileAtomic } from "../../../src/runtime/node/files.ts";
import type { Explanation } from "../../../src/tasks/explain/explainer.ts";
import { resizeMap } from "../../../src/tasks/explain/maps.ts";
import { overlaidPair } from "../../../src/tasks/explain/overlay.ts";
import { searchAll } from "../../../src/tasks/features/embed.ts";
import type { Neighbor } from "../../../src/tasks/features/embeddings.ts";
import { type DownloadFlags, platformFor } from "../downloads.ts";
import { type EmbeddingsPlace, openEmbeddings, rowOf, thumbnailsOf } from "../embedded-images.ts";
import type { ImageArgument } from "../image-arguments.ts";
import type { CliIo } from "../io.ts";
import { renderPng } from "../output-file.ts";

/** An image, its most similar ones if embeddings are given, and its explanation or the error. */
export type Found = ImageArgument & { readonly neighbors: readonly Neighbor[] | undefined } & (
    | { readonly explanation: Explanation }
    | { readonly error: Error }
  );

/** Flags that say which images to compare with. */
interface SimilarFlags extends DownloadFlags {
  readonly embeddings?: string;
  readonly folder?: string;
  readonly device?: Device;
}

/** Similar images to find of each. */
const similarImages = 4;

/** The images of an embeddings file that are most similar to each, by its file, and where they are. */
export async function similarTo(
  model: string,
  images: readonly ImageArgument[],
  { embeddings: file, folder, device, ...flags }: SimilarFlags,
  io: CliIo,
): Promise<{ readonly neighbors: ReadonlyMap<string, readonly Neighbor[]>; readonly place: EmbeddingsPlace }> {
  const { embeddings, place } = await openEmbeddings(file!, folder);
  const queries = images.map((each) => ({ image: each.image, row: rowOf(each.file, embeddings.images, place) }));
  const session = { device, signal: io.signal };
  const search = { platform: platformFor(flags, io), session, top: similarImages };
  const neighbors = new Map<string, readonly Neighbor[]>();
  let index = 0;
  for await (const result of searchAll(model, queries, embeddings, search)) {
    const each = images[index++]!;
    if ("neighbors" in result) neighbors.set(each.file, result.neighbors);
  }
  return { neighbors, place };
}

interface Output {
  readonly loaded: LoadedModel | ClassifierSession;
  readonly platform: Platform;
  readonly about: readonly Fact[];
  /** Where similar images are; undefined without embeddings. */
  readonly place: EmbeddingsPlace | undefined;
  readonly io: CliIo;
}

/** Writes a page, a picture of one map, or its numbers; returns whether there was anything to write. */
export async function writeExplanations(
  output: string,
  extension: "html" | "png" | "npy",
  found: readonly Found[],
  { loaded, platform, about, place, io }: Output,
): Promise<boolean> {
  const explained = found.flatMap((each) => ("explanation" in each ? [each] : []));
  if (explained.length === 0) return false;
  if (extension === "npy") {
    await writeFileAtomic(output, encodeNpy(explained[0]!.explanation.map));
    return true;
  }
  const similar = explained.flatMap(({ neighbors = [] }) => neighbors);
  const jpegs =
    extension === "html" && place
      ? await thumbnailsOf(similar, place, platform.images, io)
      : new Map<string, Uint8Array>();
  const images: ExplainedImage[] = [];
  for (const { file, image, explanation, neighbors } of explained) {
    const { fit } = loaded.preprocessing;
    const pair = await overlaidPair(image, explanation, { codec: platform.images, fit });
    const { width, height } = pair;
    const png = await platform.images.encodePng(pair);
    const shown = neighbors?.map((each) => ({ ...each, jpeg: jpegs.get(each.file) }));
    images.push({ ...explanation, file, against: explanation.against?.label, png, width, height, neighbors: shown });
  }
  const isPng = extension === "png";
  const content = isPng ? renderPng(drawExplanation(images[0]!), 72) : toHtml(explanationDocument(images, about));
  await writeFileAtomic(output, await content);
  return true;
}

/** An explanation as `explain --json` prints it. */
export function explanationJson(each: Found) {
  const { file, neighbors } = each;
  if ("error" in each) return { file, error: each.error.message };
  const { image: _, map, ...explanation } = each.explanation;
  const width = map.shape[1]!;
  const rows = Array.from({ length: map.shape[0]! }, (__, row) => [...map.data.slice(row * width, (row + 1) * width)]);
  return { file, ...explanation, map: rows, neighbors };
}

/** A sketch of the map in characters, about twice as wide as high. */
export function describeExplanation(each: Found): string {
  if ("error" in each) return `${each.file}\n  not explained: ${each.error.message}\n`;
  const { label, probability, against, method, layer, map, maximum } = each.explanation;
  const contrast = against === undefined ? "" : ` rather than ${against.label}`;
  const title = `${formatPercent(probability).padStart(7)}  ${label}${contrast}, ${method}${layer === undefined ? "" : ` of ${layer}`}`;
  if (maximum <= 0) return `${each.file}\n${title}: no evidence found\n`;
  const [rows, columns] = [12, 24];
  const { data } = resizeMap(map, [rows, columns]);
  const shades = [" ", "░", "▒", "▓", "█"];
  const shade = (value: number) => shades[Math.min(4, Math.max(0, Math.floor((5 * value) / maximum)))]!;
  const lines = Array.from({ length: rows }, (_, row) => {
    return `         │${Array.from(data.subarray(row * columns, (row + 1) * columns), shade).join("")}│\n`;
  });
  const similar = each.neighbors?.map(({ similarity, label = "", file }) => {
    return `         ${similarity.toFixed(3)}  ${printableLine(label)}  ${printableLine(file)}\n`;
  });
  return `${each.file}\n${title.replaceAll("\u00a0", " ")}\n${lines.join("")}${similar?.join("") ?? ""}`;
}
