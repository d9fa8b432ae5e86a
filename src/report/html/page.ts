import { html, Markup } from "./markup.ts";
import type { Section } from "./parts.ts";
import { reportStyle } from "./style.ts";

/** A page of its own. */
export interface Page {
  /** What sort of page it is, above the title. */
  readonly kind: string;
  readonly title: string;
  readonly summary?: string | undefined;
  /** Between the summary and the list of contents. */
  readonly headlines?: Markup | undefined;
  readonly sections: readonly Section[];
  /** The page loads itself again after so many seconds, without a script; default: never. */
  readonly refreshSeconds?: number | undefined;
  /** Style that only this page needs. */
  readonly style?: string | undefined;
}

/** One HTML file that needs nothing beside it, and that runs nothing and reaches for nothing. */
export function htmlPage({ kind, title, summary, headlines, sections, refreshSeconds, style = "" }: Page): string {
  const refresh = refreshSeconds && html`<meta http-equiv="refresh" content="${refreshSeconds}">\n`;
  const contents = sections.map((section) => html`<a href="#${section.id}">${section.title}</a>\n`);
  const bodies = sections.map(
    ({ id, title: heading, body }) => html`<section id="${id}" aria-labeledby="${id}-title">
<h2 id="${id}-title">${heading}</h2>
${body}</section>\n`,
  );
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
${refresh}<link rel="icon" href="data:,">
<title>${title}</title>
<style>${new Markup(reportStyle() + style)}</style>
</head>
<body>
<header>
<p class="kind">${kind}</p>
<h1>${title}</h1>
${summary === undefined ? undefined : html`<p class="summary">${summary}</p>\n`}${headlines}<nav aria-label="Contents">${contents}</nav>
</header>
<main>
${bodies}</main>
<footer>Made with xception-ts.</footer>
</body>
</html>
`.text;
}
