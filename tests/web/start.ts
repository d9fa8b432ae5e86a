import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll } from "vitest";
import { build } from "../../scripts/build.mjs";
import { root } from "../../scripts/project-root.mjs";
import { browserMissing, launchBrowser } from "./browser.ts";
import { type Site, serveSite } from "./site.ts";

/** What the tests of the page share. */
interface Started {
  readonly browser: Browser;
  /** The built page, isolated. */
  readonly site: Site;
  /** A temporary folder. */
  readonly folder: string;
}

/** Builds the page and starts a browser before the tests of a file, and ends all of it after them. To be used in tests only. */
export function startPage(): Started {
  const started = {} as { -readonly [Part in keyof Started]: Started[Part] };
  beforeAll(async () => {
    if (browserMissing) return;
    started.folder = await mkdtemp(join(tmpdir(), "xception-page-"));
    build(root);
    [started.browser, started.site] = await Promise.all([launchBrowser(), serveSite({ isolated: true })]);
  });
  afterAll(async () => {
    await started.browser?.close();
    await started.site?.close();
    if (started.folder) await rm(started.folder, { recursive: true });
  });
  return started;
}
