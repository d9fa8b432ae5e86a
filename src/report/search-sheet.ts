import type { Fact, ReportDocument } from "./document.ts";
import { jpegUrl } from "./markup.ts";
import { withCommas } from "./numbers.ts";

/** An image on the sheet. */
export interface SheetImage {
  readonly file: string;
  /** Its class. */
  readonly label?: string | undefined;
  /** Undefined if the file is gone. */
  readonly jpeg?: Uint8Array | undefined;
}

export interface SheetNeighbor extends SheetImage {
  /** Cosine, −1 to 1. */
  readonly similarity: number;
}

/** A search and its results. */
export interface SearchSheet {
  readonly query: SheetImage;
  /** Nearest first. */
  readonly neighbors: readonly SheetNeighbor[];
  /** Number of images searched. */
  readonly searched: number;
  readonly facts: readonly Fact[];
}

/** Builds a page of the images most similar to one. */
export function searchDocument({ query, neighbors, searched, facts }: SearchSheet): ReportDocument {
  const styleOf = ({ label }: SheetImage) =>
    query.label === undefined || label === undefined ? "unknown" : label === query.label ? "same" : "other";
  const found = `The ${neighbors.length} most similar of ${withCommas(searched)} images.`;
  const same = neighbors.filter((neighbor) => styleOf(neighbor) === "same").length;
  return {
    kind: "Search",
    title: "Similar images",
    summary: query.label === undefined ? found : `${found} ${same} of them show the same class, ${query.label}.`,
    sections: [
      { id: "query", title: "Query", blocks: [{ type: "facts", facts, image: imageOf(query) }] },
      {
        id: "nearest",
        title: "Most similar images",
        blocks: [
          {
            type: "gallery",
            headers: ["Class", "", "Similarity"],
            images: neighbors.map((neighbor, index) => ({
              ...imageOf(neighbor),
              file: neighbor.file,
              label: `${index + 1}. ${neighbor.label ?? lastOf(neighbor.file)}`,
              share: Math.max(0, neighbor.similarity),
              score: neighbor.similarity.toFixed(3),
              style: styleOf(neighbor),
            })),
          },
        ],
      },
    ],
  };
}

/** The folders, which are most often the same for all, would take the place of the name. */
function lastOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function imageOf({ file, label, jpeg }: SheetImage) {
  return { url: jpeg && jpegUrl(jpeg), alt: label === undefined ? file : `an image of class ${label}` };
}
