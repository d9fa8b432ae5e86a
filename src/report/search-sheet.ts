import { type Fact, type ReportDocument, section } from "./document.ts";
import { imageUrl } from "./markup.ts";
import { counted } from "./numbers.ts";

/** An image on the page; without `jpeg` if its file is gone. */
interface SheetImage {
  readonly file: string;
  readonly label?: string | undefined;
  readonly jpeg?: Uint8Array | undefined;
}

/** A search and its results. */
export interface SearchSheet {
  readonly query: SheetImage;
  /** Most similar first; cosine similarity from −1 to 1. */
  readonly neighbors: readonly (SheetImage & { readonly similarity: number })[];
  /** Number of images searched. */
  readonly searched: number;
  readonly facts: readonly Fact[];
}

/** Builds a page of the images most similar to the query. */
export function searchDocument({ query, neighbors, searched, facts }: SearchSheet): ReportDocument {
  const styleOf = ({ label }: SheetImage) =>
    query.label === undefined || label === undefined ? "unknown" : label === query.label ? "same" : "other";
  const found = `The ${neighbors.length} most similar of ${counted(searched, "image")}`;
  const same = neighbors.filter((neighbor) => styleOf(neighbor) === "same").length;
  return {
    kind: "Search",
    title: "Similar images",
    summary: query.label === undefined ? `${found}.` : `${found}, ${same} of the same class (${query.label}).`,
    sections: [
      section("query", "Query", { type: "facts", facts, image: imageOf(query) }),
      section("nearest", "Most similar images", {
        type: "gallery",
        headers: ["Class", "", "Similarity"],
        images: neighbors.map((neighbor, index) => ({
          ...imageOf(neighbor),
          file: neighbor.file,
          label: `${index + 1}. ${neighbor.label ?? neighbor.file.split("/").at(-1)}`,
          share: Math.max(0, neighbor.similarity),
          score: neighbor.similarity.toFixed(3),
          style: styleOf(neighbor),
        })),
      }),
    ],
  };
}

function imageOf({ file, label, jpeg }: SheetImage) {
  return { url: jpeg && imageUrl("jpeg", jpeg), alt: label === undefined ? file : `an image of class ${label}` };
}
