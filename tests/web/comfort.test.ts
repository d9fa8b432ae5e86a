import { expect, test } from "vitest";
import { browserMissing, excessWidth, openWatched, type WatchedPage } from "./browser.ts";
import { startPage } from "./start.ts";

const started = startPage();

const phone = { width: 360, height: 740 };

function open(view: string, options = {}): Promise<WatchedPage> {
  return openWatched(started.browser, `${started.site.address}#${view}`, { serviceWorkers: "block", ...options });
}

test.skipIf(browserMissing)("text of twice the size does not widen the page on a phone", async () => {
  const { page } = await open("try", { viewport: phone });
  await page.evaluate(() => void document.documentElement.style.setProperty("font-size", "200%"));
  for (const view of ["try", "inside", "teach", "prove"]) {
    await page.evaluate((hash) => void Object.assign(location, { hash }), view);
    await page.locator(`${view}-view h1`).waitFor();
    expect([view, await excessWidth(page)]).toEqual([view, 0]);
  }
  await page.context().close();
});

test.skipIf(browserMissing)("the reader's own colors leave the view in use and the bars to be seen", async () => {
  const { page } = await open("try", { forcedColors: "active" });
  const colorOf = (selector: string, property: string) =>
    page
      .locator(selector)
      .first()
      .evaluate((each, name) => getComputedStyle(each).getPropertyValue(name), property);
  const [current, other] = ["nav a[aria-current]", "nav a:not([aria-current])"];
  expect(await colorOf(current, "border-bottom-color")).not.toBe(await colorOf(other, "border-bottom-color"));
  expect(await colorOf(".fill", "background-color")).not.toBe(await colorOf(".track", "background-color"));
  await page.getByRole("link", { name: "Look inside" }).click();
  await page.locator(".box[aria-current]").waitFor();
  const background = (selector: string) => colorOf(selector, "background-color");
  expect(await background(".box[aria-current]")).not.toBe(await background(".box:not([aria-current])"));
  expect(await background(".stack span")).not.toBe(await background(".panel"));
  await page.context().close();
});

test.skipIf(browserMissing)("a finger that moves a little goes on recording", async () => {
  const { page } = await open("teach", { viewport: phone, hasTouch: true, isMobile: true });
  const button = page.getByRole("button", { name: "Hold to record" }).first();
  await button.scrollIntoViewIfNeeded();
  const { x, y, width, height } = (await button.boundingBox())!;
  const devtools = await page.context().newCDPSession(page);
  const touch = (type: "touchStart" | "touchMove" | "touchEnd", ...points: { x: number; y: number }[]) =>
    devtools.send("Input.dispatchTouchEvent", { type, touchPoints: points });
  const [middle, top] = [x + width / 2, y + height];
  const count = page.locator("class-card .count").first();
  const recorded = async () => Number.parseInt((await count.textContent())!, 10);
  await touch("touchStart", { x: middle, y: top - 4 });
  await expect.poll(recorded).toBeGreaterThan(0);
  for (let moved = 8; moved <= 32; moved += 8) await touch("touchMove", { x: middle, y: top - 4 - moved });
  await page.waitForTimeout(1000);
  expect(await count.textContent()).toMatch(/recorded$/);
  await touch("touchEnd");
  await count.getByText(/images?$/).waitFor();
  await page.context().close();
});
