import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Page } from "playwright-core";

/** Folder of the sample images. */
export const emoji = join(
  dirname(createRequire(import.meta.url).resolve("emoji-datasource-twitter/emoji.json")),
  "img/twitter/64",
);

const files = (...codes: string[]) => codes.map((code) => join(emoji, `${code}.png`));
const classes = {
  fruit: files("1f353", "1f34e", "1f350", "1f34c", "1f349", "1f347"),
  faces: files("1f600", "1f60e", "1f603", "1f609", "1f62d", "1f621"),
};

/** The held-out image of each class. */
export const held = [classes.fruit[4]!, classes.faces[4]!] as const;

/** Teaches two classes of six images. */
export async function teach(page: Page): Promise<void> {
  for (const [index, [name, images]] of Object.entries(classes).entries()) {
    const card = page.locator("class-card").nth(index);
    await card.getByLabel("Name of the class").fill(name);
    await card.getByLabel("Name of the class").press("Enter");
    await card.locator("input[type=file]").setInputFiles(images);
    await card.getByText("6 images").waitFor();
  }
  await page.getByRole("button", { name: "Train", exact: true }).click();
  await page.getByText("Done: 100.0 % of the held-out images are right.").waitFor();
}

/** Presses a button and saves what it hands out in a folder; returns the path. */
export async function saved(page: Page, button: string, folder: string): Promise<string> {
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: button }).click(),
  ]);
  const path = join(folder, download.suggestedFilename());
  await download.saveAs(path);
  return path;
}

/** The top classes in view, with rounded percentages. */
export function answers(page: Page): Promise<readonly string[]> {
  return page.locator("prediction-list li:visible").evaluateAll((rows) =>
    rows.map((row) => {
      const [label, percent] = [row.querySelector(".label")!.textContent, row.querySelector(".percent")!.textContent];
      return `${label} ${Math.round(Number.parseFloat(percent!))}`;
    }),
  );
}
