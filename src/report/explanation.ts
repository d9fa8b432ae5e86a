import type { Fact, ImageGallery, ReportDocument, Table } from "./document.ts";
import { numberColumn } from "./document.ts";
import { heatLegend } from "./heat-colors.ts";
import { pngUrl } from "./markup.ts";
import { formatPercent } from "./numbers.ts";

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
  /** The image without and with its map. */
  readonly png: Uint8Array;
}

/** Builds a page of images with the evidence of their classes. */
export function explanationDocument(images: readonly ExplainedImage[], facts: readonly Fact[]): ReportDocument {
  const gallery: ImageGallery = {
    type: "gallery",
    style: "pairs",
    headers: ["Class", "Others", "Probability"],
    images: images.map(({ file, method, label, probability, against, predictions, maximum, png }) => {
      const contrast = against === undefined ? "" : ` rather than ${against}`;
      const others = predictions
        .filter((each) => each.label !== label)
        .map((each) => `${each.label} ${formatPercent(each.probability)}`);
      return {
        file,
        url: pngUrl(png),
        alt: `${file}, and the evidence of ${label}${contrast} in it by ${method}`,
        label: `${label}${contrast}`,
        note: maximum > 0 ? `${method} · ${others.join(", ")}` : `${method}: no evidence found`,
        share: probability,
        score: formatPercent(probability),
      };
    }),
  };
  return {
    kind: "Explanation",
    title: "Evidence in images",
    summary:
      "Each image, and where the network finds evidence of the class. Colors are relative to the strongest evidence in " +
      "the same image: a map says where, not how much.",
    sections: [
      { id: "images", title: "Images", blocks: [legend, gallery] },
      { id: "about", title: "How it was made", blocks: [{ type: "facts", facts }] },
    ],
  };
}

const legend = { type: "chart", caption: "Evidence at each position", draw: async () => heatLegend() } as const;

/** Mean and standard deviation over images. */
interface Spread {
  readonly mean: number;
  readonly deviation: number;
}

/** The tests of one method or baseline. */
export interface MethodTests {
  readonly method: string;
  readonly deletion: Spread;
  readonly insertion: Spread;
  readonly difference: Spread;
  readonly road: Spread;
  readonly randomization: readonly Spread[] | undefined;
  readonly incompleteness: Spread | undefined;
  readonly isSane: boolean | undefined;
}

/** Builds the report of the tests that methods of explanation have to pass. */
export function explanationScoreDocument(
  { images, scores }: { readonly images: number; readonly scores: readonly MethodTests[] },
  facts: readonly Fact[],
): ReportDocument {
  const written = ({ mean, deviation }: Spread) => `${mean.toFixed(3)} ± ${deviation.toFixed(3)}`;
  const table: Table = {
    type: "table",
    caption: `Mean and standard deviation over ${images} images`,
    columns: [
      { header: "Method", whole: true },
      ...["Deletion ↓", "Insertion ↑", "Difference ↑", "ROAD ↑", "Random classifier", "Random network"].map(
        numberColumn,
      ),
      { header: "Sanity check" },
    ],
    rows: scores.map(({ method, deletion, insertion, difference, road, randomization, isSane }) => [
      method,
      ...[deletion, insertion, difference, road].map(written),
      randomization && randomization[0]!.mean.toFixed(2),
      randomization && randomization.at(-1)!.mean.toFixed(2),
      isSane === undefined
        ? "baseline"
        : isSane
          ? "passed"
          : { text: "failed: the map hardly depends on the weights", style: "warning" },
    ]),
  };
  const incomplete = scores.find(({ incompleteness }) => incompleteness)?.incompleteness;
  return {
    kind: "Explanation",
    title: "Tests of explanations",
    sections: [
      {
        id: "tests",
        title: "Tests",
        blocks: [
          table,
          incomplete && {
            type: "paragraph",
            text: `integrated-gradients adds up to the change of the logit with an error of ${formatPercent(incomplete.mean)}.`,
          },
          {
            type: "paragraph",
            text:
              "Deletion and insertion: area under the class's probability while the top positions are hidden, or revealed " +
              "on a blurred image. ROAD: half of what the class loses more with the most than with the least important " +
              "positions imputed. Random: rank correlation of the maps before and after randomizing weights; above 0.5, a " +
              "map shows the image rather than what the network has learned.",
          },
        ],
      },
      { id: "about", title: "How it was made", blocks: [{ type: "facts", facts }] },
    ],
  };
}
