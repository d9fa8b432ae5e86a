import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "playwright-core";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { convert, loadClassifier } from "../../src/node.ts";
import { capture } from "../cli/capture.ts";
import { accessibilityProblems, browserMissing, excessWidth, openWatched, type WatchedPage } from "./browser.ts";
import { serveSite } from "./site.ts";
import { startPage } from "./start.ts";
import { answers, emoji, held, saved, teach } from "./teach.ts";

const started = startPage();
const model = join(root, "apps/web/public/emoji.onnx");

/** Opens a view, and checks in the end that nothing went wrong on it and nothing moved by itself. */
async function withView(view: string, run: (opened: WatchedPage) => Promise<void>, options = {}): Promise<void> {
  const opened = await openWatched(started.browser, `${started.site.address}#${view}`, options);
  try {
    await opened.page.locator("main h1").waitFor();
    await run(opened);
    expect(opened.problems).toEqual([]);
    expect(await opened.layoutShifts()).toEqual([]);
  } finally {
    await opened.page.context().close();
  }
}

/** The answers that Node gives for a file. */
async function answersOfNode(path: string): Promise<readonly string[]> {
  await using classifier = await loadClassifier(model);
  const predictions = await classifier.classify(path);
  return predictions.map(({ label, probability }) => `${label} ${Math.round(100 * probability)}`);
}

/** Drops files on the page, as a file manager does. */
async function drop(page: Page, files: readonly (readonly [name: string, bytes: Uint8Array])[]): Promise<void> {
  const texts = files.map(([name, bytes]) => [name, Buffer.from(bytes).toString("base64")] as const);
  await page.evaluate((all) => {
    const data = new DataTransfer();
    for (const [name, text] of all)
      data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
  }, texts);
}

/** An emoji as a JPEG file of any size and EXIF orientation. */
async function jpeg(name: string, code: string, size = 320, orientation = 1): Promise<string> {
  const path = join(started.folder, name);
  const image = sharp(join(emoji, `${code}.png`))
    .resize(size)
    .flatten({ background: "white" });
  await image.withMetadata({ orientation }).jpeg({ quality: 95, chromaSubsampling: "4:4:4" }).toFile(path);
  return path;
}

describe.skipIf(browserMissing)("every view", () => {
  const devices = {
    light: { colorScheme: "light" },
    dark: { colorScheme: "dark" },
    phone: { viewport: { width: 390, height: 844 }, hasTouch: true },
    narrow: { viewport: { width: 320, height: 640 } },
  } as const;

  test.for(Object.entries(devices))("is accessible and fits the screen: %s", async ([, options]) => {
    await withView(
      "try",
      async ({ page }) => {
        for (const view of ["Try", "Look inside", "Teach", "Prove"]) {
          await page.getByRole("link", { name: view, exact: true }).click();
          await page.waitForFunction((title) => document.title.startsWith(title), view);
          await page.locator("main h1").waitFor();
          expect(await accessibilityProblems(page)).toEqual([]);
          expect(await excessWidth(page)).toBe(0);
        }
      },
      options,
    );
  });
});

test.skipIf(browserMissing).each(["try", "teach"])(
  "nothing moves while a slow machine reloads the middle of a view: %s",
  async (view) => {
    await withView(view, async ({ page }) => {
      const devtools = await page.context().newCDPSession(page);
      await devtools.send("Emulation.setCPUThrottlingRate", { rate: 10 });
      await page.evaluate(() => scrollTo(0, 300));
      expect(await page.evaluate(() => scrollY)).toBeGreaterThan(100);
      await page.reload();
      await page.locator("footer").waitFor();
    });
  },
);

describe.skipIf(browserMissing)("Try", () => {
  test("classifies a chosen JPEG as Node does, upright or turned by its EXIF orientation", async () => {
    await withView("try", async ({ page }) => {
      for (const [name, orientation] of [
        ["upright.jpg", 1],
        ["turned.jpg", 6],
      ] as const) {
        const path = await jpeg(name, "1f1eb-1f1f7", 320, orientation);
        await page.locator("#image-file").setInputFiles(path);
        await page.locator(`image-stage img[alt="${name}"]`).waitFor();
        const expected = await answersOfNode(path);
        await expect.poll(() => answers(page)).toEqual(expected);
      }
    });
  });

  test("takes a dropped photo of 12 megapixels, and shows where the evidence is", async () => {
    await withView("try", async ({ page }) => {
      const path = await jpeg("large.jpg", "1f408", 3500);
      await drop(page, [["large.jpg", await readFile(path)]]);
      await expect.poll(() => answers(page)).toEqual(await answersOfNode(path));
      await page.locator("#evidence").fill("60");
      await page.getByText("Evidence of “animals & plants”").waitFor();
      const colors = await page.locator("image-stage .cover").evaluate((canvas: HTMLCanvasElement) => {
        const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
        return new Set(Array.from({ length: 500 }, (_, index) => data[4 * 97 * index])).size;
      });
      expect(colors).toBeGreaterThan(20);
    });
  });

  test("opens the dropped files of a TensorFlow.js model", async () => {
    await withView("try", async ({ page }) => {
      const { bytes, beside } = await convert(model, { to: "tfjs" });
      await drop(page, [...beside, ["model.json", bytes]]);
      await page.getByRole("heading", { name: "model.json", exact: true }).waitFor();
      await page.getByTitle("Cat").click();
      const expected = await answersOfNode(join(emoji, "1f408.png"));
      await expect.poll(() => answers(page)).toEqual(expected);
    });
  });

  test("classifies what the webcam shows, again and again, until it is stopped", async () => {
    await withView("try", async ({ page }) => {
      await page.getByRole("button", { name: "Webcam", exact: true }).click();
      await expect.poll(() => answers(page)).toHaveLength(5);
      const answered = await page.locator(".speed").evaluateHandle(({ firstChild }) => firstChild!);
      await page.waitForFunction((node) => !node.isConnected, answered);
      await page.getByRole("button", { name: "Stop the webcam" }).click();
      await page.getByRole("button", { name: "Webcam", exact: true }).waitFor();
    });
  });

  test("answers by keyboard alone", async () => {
    await withView("try", async ({ page }) => {
      for (let tabs = 0; tabs < 30; tabs++) {
        await page.keyboard.press("Tab");
        if ((await page.evaluate(() => (document.activeElement as HTMLElement).title)) === "T-Rex") break;
      }
      await page.keyboard.press("Enter");
      await expect.poll(() => answers(page)).toEqual(await answersOfNode(join(emoji, "1f996.png")));
      expect(await page.locator(".headline").textContent()).toBe("animals & plants");
    });
  });

  test("says what is wrong with a damaged image, and goes on", async () => {
    const damaged = join(started.folder, "damaged.jpg");
    await writeFile(damaged, (await sharp(await jpeg("whole.jpg", "1f354")).toBuffer()).subarray(0, 200));
    const opened = await openWatched(started.browser, started.site.address);
    await opened.page.locator("#image-file").setInputFiles(damaged);
    await opened.page.getByText("it is damaged, or not an image").waitFor();
    await opened.page.getByRole("button", { name: "Close" }).click();
    await opened.page.getByTitle("Hamburger").click();
    await expect.poll(() => opened.page.locator(".headline").textContent()).toBe("food");
    await opened.page.context().close();
  });

  test("works offline once it was used", async () => {
    await withView("try", async ({ page }) => {
      await page.getByTitle("Cat").click();
      const shown = () => answers(page);
      const expected = await answersOfNode(join(emoji, "1f408.png"));
      await expect.poll(shown).toEqual(expected);
      await page.evaluate(() => navigator.serviceWorker.ready);
      // Loaded through the service worker, which keeps the engine.
      await page.reload();
      await page.getByTitle("Cat").click();
      await expect.poll(shown).toEqual(expected);
      await page.context().setOffline(true);
      await page.reload();
      await page.getByTitle("Cat").click();
      await expect.poll(shown).toEqual(expected);
    });
  });
});

describe.skipIf(browserMissing)("Look inside", () => {
  test("shows a layer's shape, parameters, work, and the ordinary convolution it replaces", async () => {
    await withView("inside", async ({ page }) => {
      await page.getByRole("button", { name: "block2_sepconv2", exact: true }).click();
      const panel = page.locator("aside");
      expect(await panel.locator(".layer h2").textContent()).toBe("block2_sepconv2");
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
        return page.locator(".layer h2").textContent();
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
      // By keyboard: only then a shift counts as the user's.
      await page.getByLabel("Network", { exact: true }).press("i");
      expect(await totals.textContent()).toBe("313 layers · 23.9M parameters · 5.71 GMACs for one image");
      const counters = page.locator("separable-demo .counter");
      await expect.poll(() => counters.allTextContents()).toEqual(["1,728", "219"]);
    });
  });

  test("shows the feature maps of a layer for the image in use", async () => {
    await withView("try", async ({ page }) => {
      await page.getByTitle("T-Rex").click();
      await expect.poll(() => answers(page)).toHaveLength(5);
      await page.getByRole("link", { name: "Look inside" }).click();
      await page.locator("feature-maps").getByText("Channels 1 to 32 of 32").waitFor();
      await page.getByRole("button", { name: "block14_sepconv2_act", exact: true }).click();
      await page.locator("feature-maps").getByText("Channels 1 to 36 of 512").waitFor();
      await page.getByRole("button", { name: "Next channels" }).click();
      await page.getByText("Channels 37 to 72 of 512").waitFor();
    });
  });
});

describe.skipIf(browserMissing)("Teach", () => {
  test("learns two classes from files; the command line opens the model; all survives a reload", async () => {
    await withView("teach", async ({ page }) => {
      await teach(page);
      await page.getByLabel("float32").check();
      const path = await saved(page, "Model (.onnx)", started.folder);
      const { exitCode, stdout } = await capture(["classify", path, ...held, "--json"]);
      const results = JSON.parse(stdout) as { predictions: { label: string; probability: number }[] }[];
      expect(exitCode).toBe(0);
      expect(results.map(({ predictions }) => predictions[0]!.label)).toEqual(["fruit", "faces"]);

      // The same model answers on the page, with the images it was taught that are most similar.
      await page.getByRole("link", { name: "Try it" }).click();
      await page.locator("#image-file").setInputFiles(held[0]!);
      const expected = results[0]!.predictions.map((each) => `${each.label} ${Math.round(100 * each.probability)}`);
      await expect.poll(() => answers(page)).toEqual(expected);
      const similar = page.locator(".similar figcaption");
      await expect.poll(() => similar.first().textContent()).toMatch(/^fruit 100.0/);

      await page.goto(`${started.site.address}#teach`);
      await page.reload();
      await page.locator("class-card").getByText("6 images").nth(1).waitFor();
      await page.getByText("Builds on: Your model").waitFor();
      expect(
        await page
          .getByLabel("Name of the class")
          .evaluateAll((all) => all.map((each) => (each as HTMLInputElement).value)),
      ).toEqual(["fruit", "faces"]);
    });
  });

  test("hands a project to a friend, who opens it with its classes, images and model", async () => {
    let project = "";
    await withView("teach", async ({ page }) => {
      await teach(page);
      project = await saved(page, "Project (.zip)", started.folder);
    });
    await withView("teach", async ({ page }) => {
      await page.locator("class-card").nth(1).waitFor();
      await page.locator("#archive").setInputFiles(project);
      await page.getByText("Builds on: Your model").waitFor();
      const names = page.getByLabel("Name of the class");
      expect(await names.evaluateAll((all) => all.map((each) => (each as HTMLInputElement).value))).toEqual([
        "fruit",
        "faces",
      ]);
      expect(await page.locator(".count").allTextContents()).toEqual(["6 images", "6 images"]);
    });
  });

  test("fine-tunes block 14 with the library's training graph", async () => {
    await withView("teach", async ({ page }) => {
      await teach(page);
      await page.getByRole("button", { name: "Fine-tune block 14" }).click();
      await page.getByText(/^Epoch \d of 4/).waitFor();
      await page.getByText("Done: 100.0 % of the held-out images are right.").waitFor();
      expect(await page.locator(".curves .key").first().textContent()).toMatch(/training \d\.\d{3}held out \d\.\d{3}/);
    });
  });
});

describe.skipIf(browserMissing)("Prove", () => {
  test("computes Keras's numbers there and then", async () => {
    await withView("prove", async ({ page }) => {
      await page.getByRole("button", { name: "Compare" }).click();
      await page.getByText("Passed.").waitFor();
      const differences = await page.locator(".taps td").allTextContents();
      expect(differences.length).toBeGreaterThan(5);
      for (const difference of differences) expect(Number(difference)).toBeLessThan(1e-4);
    });
  });

  test("measures the speed of the model in use, and names the engine", async () => {
    await using classifier = await loadClassifier(model);
    const { width, height } = classifier.inputSize;
    await withView("prove", async ({ page }) => {
      await page.getByRole("button", { name: "Measure" }).click();
      const image = `for an image of ${width}×${height} with “Emoji demo”`;
      const text = new RegExp(
        `^${image}: \\d+ images per second, with xception-ts, (relaxed|plain) SIMD on \\d+ threads?\\.`,
      );
      await page.getByText(text).waitFor();
      expect(await page.locator(".big").first().textContent()).toMatch(/^\d+(\.\d)? ms$/);
    });
  });

  test("says how to get threads on a host without isolation", async () => {
    const plain = await serveSite({ isolated: false });
    const { page, problems } = await openWatched(started.browser, `${plain.address}#prove`);
    await page.getByText("threads share memory only on an isolated page").waitFor();
    await page.getByText("Cross-Origin-Opener-Policy: same-origin").waitFor();
    expect(problems).toEqual([]);
    await page.context().close();
    await plain.close();
  });
});
