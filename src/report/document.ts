/** A report as data: built once for each subject, then written by `toText` and `toHtml`. */
export interface ReportDocument {
  /** The sort of report, shown above the title. */
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

/** Work in progress; the page reloads itself until it is done. */
export interface Status {
  readonly text: string;
  readonly detail: string;
  /** Part that is done, 0 to 1. */
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

/** A part of the report; the table of contents is made of them. */
export interface Section {
  /** Its address within the page. */
  readonly id: string;
  readonly title: string;
  readonly blocks: readonly ReportBlock[];
}

/** A part of a section; undefined shows nothing. */
export type ReportBlock = Paragraph | Heading | Facts | Table | Chart | Figures | ImageGallery | Code | undefined;

export interface Paragraph {
  readonly type: "paragraph";
  readonly text: string;
  /** An introduction, or a verdict: everything is well, or something is not. */
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
  /** An image beside them. */
  readonly image?: Pick<GalleryImage, "url" | "alt">;
}

export interface Table {
  readonly type: "table";
  readonly caption: string;
  readonly columns: readonly TableColumn[];
  /** The first cell names the row. */
  readonly rows: readonly Row[];
  /** Rows that summarize the others, set apart from them. */
  readonly summary?: readonly Row[];
  /** The last row, always in view. */
  readonly total?: Row | undefined;
  /** Shown in place of the table until it is unfolded. */
  readonly foldedAs?: string | undefined;
}

export type Row = readonly Cell[];

export interface TableColumn {
  readonly header: string;
  /** Numbers go to the right; default left. */
  readonly align?: "right";
  /** In text, its cells are never wrapped. */
  readonly whole?: boolean;
}

/** A text, or one with a bar from 0 to 1 beside it, in the font of code, or as a warning. */
export type Cell =
  | string
  | { readonly text: string; readonly share?: number; readonly style?: "code" | "warning" }
  | undefined;

/** A drawing with a line of text under it. */
export interface Chart {
  readonly type: "chart";
  readonly caption: string;
  /** Draws it as SVG. */
  readonly draw: () => Promise<string>;
  /** The same as a table, for a report in text; without it, text leaves the chart out. */
  readonly asTable?: Table | undefined;
}

/** Charts and tables side by side: at most four, three or two in a row, or one if they are large. */
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
  /** Headers of the text's columns, after that of the file. */
  readonly headers: readonly [label: string, note: string, score: string];
  readonly images: readonly GalleryImage[];
}

export interface GalleryImage {
  readonly file: string;
  /** The image as a data URL; undefined if it is gone. */
  readonly url?: string | undefined;
  /** Describes the image to readers who do not see it. */
  readonly alt: string;
  /** Stands out below the image. */
  readonly label: string;
  readonly note?: string;
  /** Length of the bar, 0 to 1, and the number beside it. */
  readonly share: number;
  readonly score: string;
  /** Color of the frame, if the gallery's style does not decide. */
  readonly style?: "same" | "other" | "unknown";
}

/** Lines to be copied as they are. */
export interface Code {
  readonly type: "code";
  readonly lines: readonly string[];
}

/** A column of numbers. */
export function numberColumn(header: string): TableColumn {
  return { header, align: "right", whole: true };
}

/** The text of a cell, without its looks. */
export function cellText(cell: Cell): string {
  return typeof cell === "object" ? cell.text : (cell ?? "");
}
