import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { build } from "../../scripts/build.mjs";
import { root } from "../../scripts/project-root.mjs";
import { accessibilityProblems, browserMissing, launchBrowser, openWatched, type WatchedPage } from "./browser.ts";
import { type Site, serveSite } from "./site.ts";

let browser: Browser;
let site: Site;

beforeAll(async () => {
  if (browserMissing) return;
  build(root);
  [browser, site] = await Promise.all([launchBrowser(), serveSite({ isolated: true })]);
});
afterAll(async () => {
  await browser?.close();
  await site?.close();
});

/** Opens a view, and checks in the end that nothing went wrong on it and nothing jumped. */
async function withView(view: string, run: (opened: WatchedPage) => Promise<void>, options = {}): Promise<void> {
  const opened = await openWatched(browser, `${site.address}#${view}`, options);
  try {
    await opened.page.locator("main h1").waitFor();
    await run(opened);
    expect(opened.problems).toEqual([]);
    expect(await opened.layoutShifts()).toEqual([]);
  } finally {
    await opened.page.context().close();
  }
}

describe.skipIf(browserMissing)("every view", () => {
  const devices = {
    light: { colorScheme: "light" },
    dark: { colorScheme: "dark" },
    phone: { viewport: { width: 390, height: 844 }, hasTouch: true },
  } as const;

  test.for(Object.entries(devices))("is accessible and fits the screen: %s", async ([, options]) => {
    for (const view of ["inside"]) {
      await withView(
        view,
        async ({ page }) => {
          expect(await accessibilityProblems(page)).toEqual([]);
          expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
        },
        options,
      );
    }
  });
});

describe.skipIf(browserMissing)("Look inside", () => {
  test("shows a layer's shape, parameters, work, and the ordinary convolution it replaces", async () => {
    await withView("inside", async ({ page }) => {
      await page.getByRole("button", { name: "block2_sepconv2", exact: true }).click();
      const panel = page.locator("aside");
      expect(await panel.locator("h2").textContent()).toBe("block2_sepconv2");
      expect(await panel.locator("dd").allTextContents()).toEqual(["147×147×128 → 147×147×128", "17,536", "379 M"]);
      expect(await panel.locator(".comparison p").textContent()).toBe(
        "1,152 + 16,384 = 17,536 weights. An ordinary convolution with the same window would have 147,456, 8.4 times as many.",
      );
    });
  });

  test("can be walked through by keyboard alone", async () => {
    await withView("inside", async ({ page }) => {
      await page.getByRole("button", { name: "block2_sepconv1", exact: true }).focus();
      const walk = async (...keys: string[]) => {
        for (const key of keys) await page.keyboard.press(key);
        return page.locator("aside h2").textContent();
      };
      expect(await walk("ArrowDown")).toBe("block2_sepconv1_bn");
      expect(await walk("ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight")).toBe("conv2d");
      expect(await walk("ArrowLeft", "ArrowUp")).toBe("block2_sepconv2");
      expect(await walk("+", "-", "-", "ArrowDown")).toBe("block2_sepconv2_bn");
      expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("block2_sepconv2_bn");
    });
  });

  test("compares networks, and counts 219 weights against 1,728", async () => {
    await withView("inside", async ({ page }) => {
      const totals = page.locator(".totals");
      expect(await totals.textContent()).toBe("134 layers · 22.9M parameters · 8.36 GMACs for one image");
      await page
        .getByLabel("Network", { exact: true })
        .selectOption({ label: "Inception V3, which the paper compares it with" });
      expect(await totals.textContent()).toBe("313 layers · 23.9M parameters · 5.71 GMACs for one image");
      const counters = page.locator("separable-demo .counter");
      await expect.poll(() => counters.allTextContents(), { timeout: 60_000 }).toEqual(["1,728", "219"]);
    });
  });
});
