import { csvText } from "../base/csv.ts";
import type { SkippedFile } from "../base/records.ts";
import {
  type Fact,
  type GalleryImage,
  type ImageGallery,
  numberColumn,
  type ReportDocument,
  type Section,
  section,
  type Table,
  table,
} from "./document.ts";
import { imageUrl } from "./markup.ts";
import { counted, formatPercent, withCommas } from "./numbers.ts";

const validationPrefix = "validation:";

/** Returns the name of a validation image in an examination. */
export function validationName(file: string): string {
  return `${validationPrefix}${file}`;
}

/** Returns whether the name of an image is a {@link validationName}. */
export function isOfValidation(name: string): boolean {
  return name.startsWith(validationPrefix);
}

/** Similarity of copies: the same file, the same pixels, nearly the same image, or its mirror image. */
export type DuplicateKind = "bytes" | "pixels" | "near" | "mirrored";

/** Images that are copies of each other, in the order of the data set; validation images as `validation:class/1.jpg`. */
export interface DuplicateGroup {
  readonly kind: DuplicateKind;
  readonly files: readonly string[];
}

/** An image whose label is probably wrong. */
export interface LabelIssue {
  readonly file: string;
  readonly label: string;
  /** The class that the features suggest. */
  readonly suggested: string;
  /** Probabilities of both classes by a classifier that has not seen the image, 0 to 1. */
  readonly probability: number;
  readonly suggestedProbability: number;
}

/** Two images that are nearly alike. */
export interface SimilarImages {
  readonly files: readonly [string, string];
  /** Cosine similarity of their embeddings, at most 1. */
  readonly similarity: number;
}

/** An image that differs from the others in a way that may matter. */
export interface OddImage {
  readonly file: string;
  readonly kind: "rotated" | "grayscale" | "small" | "large" | "elongated";
  /** E.g. `4×300 pixels`. */
  readonly note: string;
}

/** The result of examining a data set. */
export interface DataExamination {
  readonly images: number;
  readonly validationImages: number;
  readonly classes: readonly { readonly label: string; readonly images: number }[];
  /** Files that cannot be read, with the reasons. */
  readonly unreadable: readonly SkippedFile[];
  readonly duplicates: readonly DuplicateGroup[];
  /** Groups of copies with images both for training and for validation. */
  readonly leaks: readonly DuplicateGroup[];
  /** Pairs that are no copies, most similar first; undefined without embeddings. */
  readonly similar?: readonly SimilarImages[] | undefined;
  /** Most probable first; undefined without embeddings. */
  readonly labelIssues?: readonly LabelIssue[] | undefined;
  /** Accuracy of the classifier by which labels were checked, on images that it has not seen. */
  readonly crossValidatedAccuracy?: number | undefined;
  /** Number of classes whose labels were not checked, since they have too few images. */
  readonly unjudgedClasses?: number | undefined;
  readonly odd: readonly OddImage[];
  /** Images without problems, one for each group of copies. */
  readonly clean: readonly string[];
}

const kindNames: Readonly<Record<DuplicateKind, string>> = {
  bytes: "the same file",
  pixels: "the same pixels",
  near: "nearly the same image",
  mirrored: "mirrored",
};

/** Returns one row for each problem: problem, file, label or other files, note. */
export function examinationCsv({
  unreadable,
  duplicates,
  similar = [],
  labelIssues = [],
  odd,
}: DataExamination): string {
  return csvText([
    ["problem", "file", "about", "note"],
    ...unreadable.map(({ file, reason }) => ["unreadable", file, "", reason]),
    ...duplicates.flatMap(({ kind, files }) =>
      files.slice(1).map((file) => [`duplicate, ${kindNames[kind]}`, file, files[0], ""]),
    ),
    ...similar.map(({ files: [first, second], similarity }) => ["similar", second, first, similarity.toFixed(4)]),
    ...labelIssues.map(({ file, suggested, probability, suggestedProbability }) => {
      return ["label", file, suggested, `${probability.toFixed(4)} against ${suggestedProbability.toFixed(4)}`];
    }),
    ...odd.map(({ file, kind, note }) => [kind, file, "", note]),
  ]);
}

/** Most problems of each kind on a page. */
const mostShown = 100;

/** The problems that a page shows. */
function shown({ leaks, duplicates, similar = [], labelIssues = [], odd }: DataExamination) {
  const first = <Problem>(all: readonly Problem[]) => all.slice(0, mostShown);
  return {
    labelIssues: first(labelIssues),
    leaks: first(leaks),
    duplicates: first(duplicates),
    similar: first(similar),
    odd: first(odd),
  };
}

/** Returns the files whose images a page shows, each once. */
export function shownFiles(found: DataExamination): readonly string[] {
  const { labelIssues, leaks, duplicates, similar, odd } = shown(found);
  const groups = [...leaks, ...duplicates, ...similar].flatMap(({ files }) => files);
  return [...new Set([...labelIssues.map(({ file }) => file), ...groups, ...odd.map(({ file }) => file)])];
}

function titleOf(title: string, all: readonly unknown[] = []): string {
  return all.length > mostShown ? `${title} (the first ${mostShown} of ${withCommas(all.length)})` : title;
}

/**
 * Builds a page of the problems in a data set.
 * @param thumbnails JPEG by file, where there is one.
 */
export function examinationDocument(
  found: DataExamination,
  thumbnails: ReadonlyMap<string, Uint8Array>,
  facts: readonly Fact[],
): ReportDocument {
  const { images, classes, unreadable, duplicates, leaks, similar, labelIssues, odd, clean } = found;
  const page = shown(found);
  const copies = duplicates.reduce((sum, { files }) => sum + files.length - 1, 0);
  return {
    kind: "Data",
    title: "Examination of a data set",
    summary: `${withCommas(clean.length)} of ${counted(images, "image")} remain without unreadable files, copies and probably wrong labels.`,
    headlines: [
      { name: "Unreadable", value: withCommas(unreadable.length), note: "files" },
      { name: "Copies", value: withCommas(copies), note: `in ${counted(duplicates.length, "group")}` },
      { name: "In both sets", value: withCommas(leaks.length), note: "groups with validation images" },
      {
        name: "Labels in doubt",
        value: labelIssues ? withCommas(labelIssues.length) : "–",
        note: accuracyNote(found),
      },
    ],
    sections: [
      section("about", "Data set", { type: "facts", facts }, classTable(classes)),
      unreadable.length === 0 ? undefined : section("unreadable", "Unreadable files", unreadableTable(unreadable)),
      galleriesSection("labels", titleOf("Probably wrong labels", labelIssues), [
        labelGallery(page.labelIssues, thumbnails),
      ]),
      galleriesSection(
        "leaks",
        titleOf("Images for training and validation", leaks),
        page.leaks.map(({ kind, files }) => groupGallery(kindNames[kind], files, thumbnails)),
      ),
      galleriesSection(
        "copies",
        titleOf("Copies", duplicates),
        page.duplicates.map(({ kind, files }) => groupGallery(kindNames[kind], files, thumbnails)),
      ),
      galleriesSection(
        "similar",
        titleOf("Similar images", similar),
        page.similar.map(({ files, similarity }) => groupGallery(similarityText(similarity), files, thumbnails)),
      ),
      galleriesSection("odd", titleOf("Unlike the others", odd), [oddGallery(page.odd, thumbnails)]),
    ],
  };
}

function accuracyNote(found: DataExamination): string {
  const { crossValidatedAccuracy: accuracy } = found;
  if (accuracy === undefined) return "needs --weights";
  return `cross-validated accuracy ${formatPercent(accuracy)}${unjudgedNote(found)}`;
}

function unjudgedNote({ unjudgedClasses = 0 }: DataExamination): string {
  if (unjudgedClasses === 0) return "";
  return `; ${counted(unjudgedClasses, "class has", "classes have")} too few images to be checked`;
}

function galleriesSection(id: string, title: string, galleries: readonly ImageGallery[]): Section | undefined {
  const blocks = galleries.filter(({ images }) => images.length > 0);
  return blocks.length > 0 ? section(id, title, ...blocks) : undefined;
}

function classTable(classes: DataExamination["classes"]): Table {
  const most = Math.max(...classes.map(({ images }) => images));
  const rows = classes.map(({ label, images }) => [label, { text: withCommas(images), share: images / most }]);
  return table("Images of each class", ["Class", numberColumn("Images")], rows);
}

function unreadableTable(unreadable: readonly SkippedFile[]): Table {
  const rows = unreadable.map(({ file, reason }) => [file, reason]);
  return table("Files that cannot be read", ["File", "Reason"], rows);
}

function cell(
  file: string,
  thumbnails: ReadonlyMap<string, Uint8Array>,
  rest: Omit<GalleryImage, "file" | "url" | "alt">,
): GalleryImage {
  const jpeg = thumbnails.get(file);
  return { file, url: jpeg && imageUrl("jpeg", jpeg), alt: file, ...rest };
}

function labelGallery(issues: readonly LabelIssue[], thumbnails: ReadonlyMap<string, Uint8Array>): ImageGallery {
  const images = issues.map(({ file, label, suggested, probability, suggestedProbability }) =>
    cell(file, thumbnails, {
      label: `${label}: rather ${suggested}?`,
      note: `${file} · ${label} ${formatPercent(probability)}`,
      share: suggestedProbability,
      score: formatPercent(suggestedProbability),
    }),
  );
  return { type: "gallery", headers: ["Label", "File", "Probability"], images };
}

function acrossText(similar: readonly SimilarImages[]): string {
  const across = similar.filter(({ files }) => files.filter(isOfValidation).length === 1).length;
  return across > 0 ? `, ${withCommas(across)} of them in both sets` : "";
}

function similarityText(similarity: number): string {
  return `Similarity ${similarity.toFixed(3)}`;
}

function groupGallery(
  title: string,
  files: readonly string[],
  thumbnails: ReadonlyMap<string, Uint8Array>,
): ImageGallery {
  const images = files.map((file) => cell(file, thumbnails, { label: file }));
  return { type: "gallery", title, headers: ["File", "", ""], images };
}

function oddGallery(odd: readonly OddImage[], thumbnails: ReadonlyMap<string, Uint8Array>): ImageGallery {
  const images = odd.map(({ file, kind, note }) => cell(file, thumbnails, { label: kind, note: `${file} · ${note}` }));
  return { type: "gallery", headers: ["Kind", "Note", ""], images };
}

function rangeText(counts: readonly number[]): string {
  const ends = [Math.min(...counts), Math.max(...counts)];
  return [...new Set(ends)].map(withCommas).join(" to ");
}

/** Describes an examination in a few lines. */
export function describeExamination(found: DataExamination): string {
  const { images, validationImages, unreadable, duplicates, leaks, similar, labelIssues, odd, classes, clean } = found;
  const counts = classes.map((each) => each.images);
  const duplicatesOf = (kind: DuplicateKind) =>
    duplicates.filter((group) => group.kind === kind).reduce((sum, { files }) => sum + files.length - 1, 0);
  const copies = (Object.keys(kindNames) as DuplicateKind[])
    .map((kind) => ({ kind, count: duplicatesOf(kind) }))
    .filter(({ count }) => count > 0)
    .map(({ kind, count }) => `${withCommas(count)} ${kindNames[kind]}`);
  const kinds = [...new Set(odd.map(({ kind }) => kind))].map(
    (kind) => `${withCommas(odd.filter((each) => each.kind === kind).length)} ${kind}`,
  );
  const lines = {
    images: `${withCommas(images)} in ${counted(classes.length, "class", "classes")}, ${rangeText(counts)} in each${validationImages > 0 ? `, and ${withCommas(validationImages)} for validation` : ""}`,
    unreadable: withCommas(unreadable.length),
    copies: copies.length > 0 ? copies.join(", ") : "0",
    "in both sets": validationImages > 0 ? counted(leaks.length, "group") : undefined,
    similar: similar && `${counted(similar.length, "pair")}${acrossText(similar)}`,
    "labels in doubt": labelIssues
      ? `${withCommas(labelIssues.length)}${unjudgedNote(found)}`
      : "not checked (needs --weights)",
    "unlike others": kinds.length > 0 ? kinds.join(", ") : "0",
    clean: withCommas(clean.length),
  };
  const described = Object.entries(lines).flatMap(([name, text]) =>
    text === undefined ? [] : [`${name.padEnd(17)}${text}`],
  );
  const doubts = (labelIssues ?? []).slice(0, 10).map(({ file, label, suggested, suggestedProbability }) => {
    return `  ${file}: ${label}, rather ${suggested} (${formatPercent(suggestedProbability)})`;
  });
  return [...described, ...doubts].join("\n");
}
