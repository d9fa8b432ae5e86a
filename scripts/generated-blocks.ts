/** Makes the text of a block from what stands after its kind, and from the text it had. */
export type Generator = (argument: string, current: string) => string;

/**
 * Rewrites what stands between the lines `<!-- begin:kind argument -->` and `<!-- end:kind -->` of a Markdown document.
 * @throws {Error} a kind without generator, or a block without end.
 */
export function refreshBlocks(document: string, generators: Readonly<Record<string, Generator>>): string {
  const blocks = /^<!-- begin:(\w+) (.*) -->$\n([\s\S]*?)(?:^<!-- end:(\w+) -->$|(?=^<!-- begin:)|(?![\s\S]))/gm;
  return document.replaceAll(blocks, (_, kind: string, argument: string, current: string, endKind?: string) => {
    const generate = generators[kind];
    const begin = `<!-- begin:${kind} ${argument} -->`;
    if (generate === undefined) {
      throw new Error(`${begin}: unknown kind, expected one of ${Object.keys(generators).join(", ")}.`);
    }
    if (endKind !== kind) throw new Error(`${begin}: no <!-- end:${kind} --> follows.`);
    return `${begin}\n${generate(argument, current.trimEnd()).trimEnd()}\n<!-- end:${kind} -->`;
  });
}

/** A fenced block of Markdown. */
export function fenced(language: string, text: string): string {
  return `\`\`\`${language}\n${text.trimEnd()}\n\`\`\``;
}

/** A table of Markdown with a column for each key of the first row; numbers stand right. */
export function markdownTable(rows: readonly Readonly<Record<string, string | number>>[]): string {
  const columns = Object.keys(rows[0] ?? {});
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(" | ")} |`;
  const rule = columns.map((column) => (typeof rows[0]?.[column] === "number" ? "---:" : "---"));
  return [line(columns), line(rule), ...rows.map((row) => line(columns.map((column) => row[column] ?? "")))].join("\n");
}

/** The beginning and the end of a long text. */
export function shorten(text: string, { first, last }: { readonly first: number; readonly last: number }): string {
  const lines = text.trimEnd().split("\n");
  if (lines.length <= first + last + 1) return lines.join("\n");
  return [...lines.slice(0, first), "…", ...lines.slice(-last)].join("\n");
}
