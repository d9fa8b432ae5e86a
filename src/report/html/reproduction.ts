import { withCommas } from "../number-text.ts";
import type { TrainingReport } from "../training-report.ts";
import { html } from "./markup.ts";
import { factList, folded, type Section, table } from "./parts.ts";

/** Files that are named at once; a longer list is folded. */
const namedAtOnce = 8;

/** The files that could not be used, and why. */
export function skippedSection({ skipped = [] }: TrainingReport): Section | undefined {
  if (skipped.length === 0) return undefined;
  const list = table(
    "Files that were left out",
    [{ header: "File" }, { header: "Reason" }],
    skipped.map(({ file, reason }) => [html`<code>${file}</code>`, reason]),
  );
  return {
    id: "skipped",
    title: "Skipped files",
    body: skipped.length <= namedAtOnce ? list : folded(`${withCommas(skipped.length)} files were left out`, list),
  };
}

/** Where the result comes from, and how to get it again. */
export function reproductionSection({ reproduction }: TrainingReport): Section | undefined {
  if (reproduction === undefined) return undefined;
  const { commands, facts = [] } = reproduction;
  return {
    id: "reproduce",
    title: "How to reproduce it",
    body: html`<pre tabindex="0"><code>${commands.join("\n")}</code></pre>
${facts.length > 0 ? factList(facts) : undefined}`,
  };
}
