import { withCommas } from "../number-text.ts";
import type { LiveStatus } from "../training-report.ts";
import { formatDuration, formatNumber, formatPercent } from "./format.ts";
import { html, type Markup } from "./markup.ts";
import { bar } from "./parts.ts";

/** How often a page about a training that goes on loads itself. */
export const refreshSeconds = 15;

/** Where the training stands. */
export function liveStatus(live: LiveStatus): Markup {
  const { epoch, epochs, step, steps, loss, accuracy, secondsLeft, time } = live;
  const done = (epoch - 1 + step / steps) / epochs;
  return html`<div class="live" role="status">
<p><strong>Training now:</strong> epoch ${epoch} of ${epochs}, step ${withCommas(step)} of ${withCommas(steps)}; about ${formatDuration(secondsLeft)} to go</p>
${bar(Math.min(1, done))}
<p class="detail">Loss ${formatNumber(loss)}, accuracy ${formatPercent(accuracy)} in this epoch. Written at ${time}; this page loads itself again while the training goes on.</p>
</div>\n`;
}
