import type { ExplanationScore, Spread } from "../base/records.ts";
import { accuracyInterval } from "../base/significance.ts";
import {
  type Fact,
  type ImageGallery,
  numberColumn,
  paragraph,
  type ReportDocument,
  section,
  type Table,
} from "./document.ts";
import { heatScale } from "./heat-colors.ts";
import { html, imageUrl, Markup } from "./markup.ts";
import { counted, formatPercent } from "./numbers.ts";

/** An explained image on the sheet. */
export interface ExplainedImage {
  readonly file: string;
  readonly method: string;
  readonly label: string;
  /** 0 to 1. */
  readonly probability: number;
  /** The class that it is contrasted with. */
  readonly against?: string | undefined;
  /** Top classes. */
  readonly predictions: readonly { readonly label: string; readonly probability: number }[];
  /** Largest value of the map. */
  readonly maximum: number;
  /** The image without and with its map, and the size of both together in pixels. */
  readonly png: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** The most similar images of an embeddings file, most similar first; without `jpeg` if one cannot be shown. */
  readonly neighbors?: readonly SimilarImage[] | undefined;
}

interface SimilarImage {
  readonly file: string;
  readonly label?: string | undefined;
  /** Cosine similarity, −1 to 1. */
  readonly similarity: number;
  readonly jpeg?: Uint8Array | undefined;
}

/** Draws one explained image with its class and the scale of the colors, as SVG. */
export function drawExplanation({
  method,
  label,
  probability,
  against,
  maximum,
  png,
  width,
  height,
}: ExplainedImage): string {
  const title = `${label}${contrastOf(against)}: ${formatPercent(probability)}`;
  // Fonts differ: letters are about 0.6 of their height wide, and long names become smaller.
  const [whole, size] = [Math.max(width, 320), Math.min(18, Math.max(width, 320) / (0.62 * title.length))];
  return html`<svg width="${whole}pt" height="${height + 92}pt" viewBox="0 0 ${whole} ${height + 92}" xmlns="http://www.w3.org/2000/svg" font-family="DejaVu Sans, Verdana, Helvetica, Arial, sans-serif" color="#333">
<rect width="${whole}" height="${height + 92}" fill="#fff"/>
<image width="${width}" height="${height}" href="${new Markup(imageUrl("png", png))}"/>
<text x="8" y="${height + 26}" font-size="${size}" font-weight="bold" fill="#111">${title}</text>
<text x="8" y="${height + 46}" font-size="12" fill="#555">${maximum > 0 ? method : `${method}: no evidence found`}</text>
<g transform="translate(8 ${height + 56})">${heatScale(whole - 16)}</g>
</svg>
`.text;
}

function contrastOf(against: string | undefined): string {
  return against === undefined ? "" : ` rather than ${against}`;
}

/** Builds a page of images with the evidence of their classes. */
export function explanationDocument(images: readonly ExplainedImage[], facts: readonly Fact[]): ReportDocument {
  const gallery: ImageGallery = {
    type: "gallery",
    style: "pairs",
    headers: ["Class", "Others", "Probability"],
    images: images.map(({ file, method, label, probability, against, predictions, maximum, png, neighbors }) => {
      const contrast = contrastOf(against);
      const others = predictions
        .filter((each) => each.label !== label)
        .map((each) => `${each.label} ${formatPercent(each.probability)}`);
      return {
        file,
        url: imageUrl("png", png),
        alt: `${file}, and the evidence of ${label}${contrast} in it by ${method}`,
        label: `${label}${contrast}`,
        note: `${file} · ${maximum > 0 ? `${method} · ${others.join(", ")}` : `${method}: no evidence found`}`,
        share: probability,
        score: formatPercent(probability),
        similar: neighbors?.map((each) => ({
          url: each.jpeg && imageUrl("jpeg", each.jpeg),
          alt: `${each.file}, similar to ${file}`,
          label: `${each.label ?? each.file.split("/").at(-1)} ${each.similarity.toFixed(2)}`,
        })),
      };
    }),
  };
  const isCompared = images.some(({ neighbors }) => neighbors);
  return {
    kind: "Explanation",
    title: "Evidence in images",
    summary:
      "Each image, and where the network finds evidence of the class. Colors are relative to the strongest evidence in " +
      "the same image: a map says where, not how much." +
      (isCompared
        ? " Below it the most similar images of the embeddings, with their class and cosine similarity."
        : ""),
    sections: [
      section("images", "Images", legend, gallery),
      section("about", "How it was made", { type: "facts", facts }),
    ],
  };
}

const legend = {
  type: "chart",
  caption: "Evidence at each position",
  draw: async () =>
    html`<svg width="320" height="36" viewBox="0 0 320 36" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="from no evidence to the strongest">${heatScale(320)}</svg>`
      .text,
} as const;

/** `72.0 % (58.3–82.5) of 50`. */
function pointingText({ hits, total }: NonNullable<ExplanationScore["pointing"]>): string {
  const { low, high } = accuracyInterval(hits / total, total);
  const [from, to] = [low, high].map((end) => (100 * end).toFixed(1));
  return `${formatPercent(hits / total)} (${from}–${to}) of ${total}`;
}

/** With a minus sign, but never before zeros only. */
function signed(value: number, decimals: number): string {
  const text = Math.abs(value).toFixed(decimals);
  return value < 0 && Number(text) > 0 ? `−${text}` : text;
}

/** Builds the report of the tests that methods of explanation have to pass. */
export function explanationScoreDocument(
  { images, scores }: { readonly images: number; readonly scores: readonly ExplanationScore[] },
  facts: readonly Fact[],
): ReportDocument {
  const written = ({ mean, deviation }: Spread) => `${signed(mean, 3)} ± ${deviation.toFixed(3)}`;
  const hasBoxes = scores.some(({ pointing }) => pointing);
  const table: Table = {
    type: "table",
    caption: `Mean and standard deviation over ${counted(images, "image")}`,
    columns: [
      { header: "Method", whole: true },
      ...["Deletion ↓", "Insertion ↑", "Difference ↑", "ROAD ↑", "Random\nclassifier", "Random\nnetwork"].map(
        numberColumn,
      ),
      { header: "Sanity\ncheck", whole: true },
      ...(hasBoxes ? [numberColumn("Pointing\ngame ↑")] : []),
    ],
    rows: scores.map(({ method, deletion, insertion, difference, road, randomization, isSane, pointing }) => [
      method,
      ...[deletion, insertion, difference, road].map(written),
      randomization && signed(randomization[0]!.mean, 2),
      randomization && signed(randomization.at(-1)!.mean, 2),
      ["random", "edges"].includes(method)
        ? "baseline"
        : isSane === undefined
          ? "–"
          : isSane
            ? "passed"
            : { text: "failed", style: "warning" },
      ...(hasBoxes ? [pointing && pointingText(pointing)] : []),
    ]),
  };
  const incomplete = scores.find(({ incompleteness }) => incompleteness)?.incompleteness;
  return {
    kind: "Explanation",
    title: "Tests of explanations",
    sections: [
      section(
        "tests",
        "Tests",
        table,
        incomplete &&
          paragraph(
            `integrated-gradients adds up to the change of the logit with an error of ${formatPercent(incomplete.mean)}.`,
          ),
        paragraph(
          "Deletion and insertion: area under the class's probability while the top positions are hidden, or revealed " +
            "on a blurred image. ROAD: half of what the class loses more with the most than with the least important " +
            "positions imputed. Random: rank correlation of the maps before and after randomizing weights; above 0.5, a " +
            "map shows the image rather than what the network has learned." +
            (hasBoxes
              ? " Pointing game: how often the map's maximum lies in a box of the class, with its 95 % interval."
              : ""),
        ),
      ),
      section("about", "How it was made", { type: "facts", facts }),
    ],
  };
}
