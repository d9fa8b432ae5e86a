import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

/** Chromium or Chrome, as Linux distributions install them. */
const program = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

/** Reason to skip tests in the browser; undefined if there is one. */
export const browserMissing = program === undefined ? "there is no Chromium on this machine" : undefined;

/** Starts a headless browser with a webcam that shows a moving drawing. Close it. */
export function launchBrowser(): Promise<Browser> {
  // The sandbox needs rights that containers lack; the tests only visit themselves.
  const args = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];
  return chromium.launch({ executablePath: program!, args });
}

/** An entry of Chromium's performance timeline, which TypeScript's DOM lacks. */
interface LayoutShift extends PerformanceEntry {
  readonly value: number;
  readonly hadRecentInput: boolean;
  readonly sources: readonly { readonly node: Node | null }[];
}

/** A page and everything that went wrong on it. */
export interface WatchedPage {
  readonly page: Page;
  /** Errors of scripts, and of the console, which also reports what the security policy blocked. */
  readonly problems: string[];
  /** Layout shifts without a recent input since the page was opened: Chromium's score, and what moved. */
  layoutShifts(): Promise<readonly string[]>;
}

/** Opens a page that records its problems. */
export async function openWatched(
  browser: Browser,
  address: string,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  // Only ends what hangs.
  context.setDefaultTimeout(100_000);
  const page = await context.newPage();
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  await page.addInitScript(() => {
    const shifts: string[] = [];
    Object.assign(window, { layoutShifts: shifts });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as LayoutShift[]) {
        const moved = entry.sources.map(({ node }) => (node instanceof Element ? node.outerHTML : node?.nodeValue));
        if (!entry.hadRecentInput) shifts.push(`${entry.value}: ${moved.map((each) => each?.slice(0, 80)).join(", ")}`);
      }
    }).observe({ type: "layout-shift", buffered: true });
  });
  await page.goto(address);
  const layoutShifts = () => page.evaluate(() => (window as unknown as { layoutShifts: string[] }).layoutShifts);
  return { page, problems, layoutShifts };
}

/** Pixels by which the page is wider than its window. */
export function excessWidth(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.body.offsetWidth);
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Violations that axe-core finds, as `rule: element`. */
export async function accessibilityProblems(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations } = await (
      window as unknown as {
        axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
      }
    ).axe.run();
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 160)}`));
  });
}
