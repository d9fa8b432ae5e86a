/** A report as data, which `toText` and `toHtml` write. */
export interface ReportDocument {
  /** Kind of report, shown above the title. */
  readonly kind?: string;
  readonly title: string;
  /** One paragraph under the title. */
  readonly summary?: string | undefined;
  /** Progress of the reported work. */
  readonly status?: Status | undefined;
  /** The headline numbers. */
  readonly headlines?: readonly Headline[];
  readonly sections: readonly (Section | undefined)[];
}

/** Work in progress; the page reloads itself until it is finished. */
export interface Status {
  readonly text: string;
  readonly detail: string;
  /** Fraction that is done, 0 to 1. */
  readonly share: number;
  readonly refreshSeconds: number;
}

/** A name and its value, shown as given. */
export interface Fact {
  readonly name: string;
  readonly value: string;
}

export interface Headline extends Fact {
  readonly note: string;
}

/** A part of the report, listed in its table of contents. */
export interface Section {
  /** Its anchor in the page. */
  readonly id: string;
  readonly title: string;
  readonly blocks: readonly ReportBlock[];
}

/** A part of a section; undefined shows nothing. */
export type ReportBlock = Paragraph | Heading | Facts | Table | Chart | Figures | ImageGallery | Code | undefined;

export interface Paragraph {
  readonly type: "paragraph";
  readonly text: string;
  /** An introduction, or a good or bad verdict. */
  readonly style?: "lead" | "well" | "ill";
}

export interface Heading {
  readonly type: "heading";
  readonly text: string;
}

/** Names and values, side by side where there is room. */
export interface Facts {
  readonly type: "facts";
  readonly facts: readonly Fact[];
  /** Image beside them. */
  readonly image?: Pick<GalleryImage, "url" | "alt">;
}

export interface Table {
  readonly type: "table";
  readonly caption: string;
  readonly columns: readonly TableColumn[];
  /** The first cell names the row. */
  readonly rows: readonly Row[];
  /** Rows that summarize the others, set apart. */
  readonly summary?: readonly Row[];
  /** The last row, always visible. */
  readonly total?: Row | undefined;
  /** Label of the folded table. */
  readonly foldedAs?: string | undefined;
}

export type Row = readonly Cell[];

export interface TableColumn {
  readonly header: string;
  /** Default left; numbers are right-aligned. */
  readonly align?: "right";
  /** Cells are never wrapped in text. */
  readonly whole?: boolean;
}

/** A text; optionally with a bar from 0 to 1 beside it, in monospace, or as a warning. */
export type Cell =
  | string
  | { readonly text: string; readonly share?: number; readonly style?: "code" | "warning" }
  | undefined;

/** A drawing with a caption. */
export interface Chart {
  readonly type: "chart";
  readonly caption: string;
  /** Draws it as SVG. */
  readonly draw: () => Promise<string>;
  /** The table that replaces it in text; by default nothing. */
  readonly asTable?: Table | undefined;
}

/** Charts and tables side by side. */
export interface Figures {
  readonly type: "figures";
  readonly layout: "curves" | "curves four" | "classes" | "classes many" | "health";
  readonly blocks: readonly (Chart | Table | undefined)[];
}

/** Images with captions; in text, a table of the captions. */
export interface ImageGallery {
  readonly type: "gallery";
  readonly title?: string;
  readonly style?: "wrong" | "right" | "photos" | "pairs";
  /** Headers of the columns in text, after the file's. */
  readonly headers: readonly [label: string, note: string, score: string];
  readonly images: readonly GalleryImage[];
}

export interface GalleryImage {
  readonly file: string;
  /** Data URL; undefined if the file is gone. */
  readonly url?: string | undefined;
  /** Alternative text. */
  readonly alt: string;
  /** A second image beside the first. */
  readonly beside?: { readonly url: string; readonly alt: string } | undefined;
  /** Small images below it. */
  readonly similar?: readonly (Pick<GalleryImage, "url" | "alt"> & { readonly label: string })[] | undefined;
  /** First line below the image. */
  readonly label: string;
  readonly note?: string;
  /** Length of the bar, 0 to 1; `score` is the number beside it. Default: none. */
  readonly share?: number;
  readonly score?: string;
  /** Color of the frame, unless the gallery's style sets it. */
  readonly style?: "same" | "other" | "unknown";
}

/** Lines of code, shown as they are. */
export interface Code {
  readonly type: "code";
  /** Language to highlight in Markdown: `python`, `sh`. */
  readonly language?: string;
  readonly lines: readonly string[];
}

/** Returns a section. @param id its anchor in the page. */
export function section(id: string, title: string, ...blocks: readonly ReportBlock[]): Section {
  return { id, title, blocks };
}

/** Returns a paragraph. */
export function paragraph(text: string, style?: Paragraph["style"]): Paragraph {
  return { type: "paragraph", text, ...(style && { style }) };
}

/** Returns a table; a column that needs no more than a header is named by it. */
export function table(
  caption: string,
  columns: readonly (string | TableColumn)[],
  rows: readonly Row[],
  more: Pick<Table, "summary" | "total" | "foldedAs"> = {},
): Table {
  const described = columns.map((column) => (typeof column === "string" ? { header: column } : column));
  return { type: "table", caption, columns: described, rows, ...more };
}

/** Returns a column of numbers. */
export function numberColumn(header: string): TableColumn {
  return { header, align: "right", whole: true };
}

/** Returns a chart. @param draw draws it as SVG. */
export function chart(caption: string, draw: Chart["draw"]): Chart {
  return { type: "chart", caption, draw };
}

/** Names and values as facts; those without a value are left out. */
export function factsOf(values: Readonly<Record<string, string | undefined>>): Fact[] {
  return Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]));
}

/** One fact for each value, nested ones named by their path: `recipe.epochs`; lists of plain values are one fact. */
export function nestedFacts(value: unknown, path = ""): readonly Fact[] {
  if (typeof value !== "object" || value === null) return [{ name: path, value: String(value) }];
  const isPlainList = Array.isArray(value) && value.every((each) => typeof each !== "object");
  if (isPlainList) return [{ name: path, value: value.join(", ") }];
  return Object.entries(value).flatMap(([key, inner]) => nestedFacts(inner, path === "" ? key : `${path}.${key}`));
}

/** The text of a cell, without its style. */
export function cellText(cell: Cell): string {
  return typeof cell === "object" ? cell.text : (cell ?? "");
}
