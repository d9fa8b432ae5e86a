import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { zipSync } from "fflate";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { encodeModel } from "../../src/model/model-writer.ts";
import { smallModel } from "../model/small-model.ts";
import { browserMissing, excessWidth, openWatched } from "./browser.ts";
import { startPage } from "./start.ts";
import { answers, emoji, teach } from "./teach.ts";

const started = startPage();

/** Opens a view; nothing moves on it by itself. Its files come from the server alone. */
async function withView(
  view: string,
  run: (page: Page, problems: readonly string[]) => Promise<void>,
  options = {},
): Promise<void> {
  const opened = await openWatched(started.browser, `${started.site.address}#${view}`, {
    serviceWorkers: "block",
    ...options,
  });
  try {
    await opened.page.locator("main h1").waitFor();
    await run(opened.page, opened.problems);
    expect(await opened.layoutShifts()).toEqual([]);
  } finally {
    await opened.page.context().close();
  }
}

const notice = (page: Page) => page.locator(".notice p").textContent();

/** Drops files at a point of the window, as a file manager does; the browser then decides what happens. */
async function dragTo(page: Page, selector: string, files: readonly string[]): Promise<void> {
  const { x, y, width, height } = (await page.locator(selector).first().boundingBox())!;
  const devtools = await page.context().newCDPSession(page);
  const data = { items: [], files: [...files], dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"] as const) {
    await devtools.send("Input.dispatchDragEvent", { type, x: x + width / 2, y: y + height / 2, data });
  }
}

const graphOfTorch = join(root, "tests/golden/formats/torch-plain.onnx");

test.skipIf(browserMissing).each([1280, 320])(
  "names of classes, however long, do not widen the page: %i pixels",
  async (width) => {
    const model = smallModel();
    const labels = ["a class whose name describes itself in more detail than fits", `<b>${"x".repeat(80)}</b>`, "owl"];
    const preprocessing = { ...model.preprocessing, interpolation: "bicubic" } as const;
    const path = join(started.folder, "long-names.onnx");
    await writeFile(path, encodeModel({ ...model, labels, preprocessing }));
    const run = async (page: Page) => {
      await page.locator("#model-file").setInputFiles(path);
      await page.getByText("3 classes · images of 80×71").waitFor();
      await page.getByTitle("Cat").click();
      await expect.poll(() => answers(page)).toHaveLength(3);
      await page.locator("#evidence").fill("60");
      await page.getByText(/^(Evidence of|There is no evidence)/).waitFor();
      expect(await excessWidth(page)).toBe(0);
    };
    await withView("try", run, { viewport: { width, height: 860 } });
  },
);

test.skipIf(browserMissing)(
  "shows the view that was asked for last, and the first for an unknown address",
  async () => {
    await withView("try", async (page) => {
      const views = ["prove", "teach", "inside", "try"];
      for (const view of views) await page.evaluate((name) => void Object.assign(location, { hash: name }), view);
      await page.evaluate(
        (names) => Promise.all(names.map((name) => customElements.whenDefined(`${name}-view`))).then(() => {}),
        views,
      );
      await page.waitForLoadState("networkidle");
      expect(await page.locator("main h1").allTextContents()).toEqual(["What is in the image?"]);
      await page.goto(`${started.site.address}#constructor`);
      await page.reload();
      await page.getByRole("heading", { name: "What is in the image?" }).waitFor();
      expect(await page.title()).toBe("Try · Xception");
    });
  },
);

test.skipIf(browserMissing)("says so when a view cannot be loaded, and loads it later", async () => {
  await withView("try", async (page) => {
    await page.getByText("5 classes · images of 72×72").waitFor();
    await page.context().setOffline(true);
    await page.getByRole("link", { name: "Prove" }).click();
    await page.locator(".notice").waitFor();
    expect(await notice(page)).toBe(
      "This part of the page cannot be loaded. Check the connection, then reload the page.",
    );
    await page.context().setOffline(false);
    await page.reload();
    await page.getByRole("heading", { name: "Check this browser" }).waitFor();
  });
});

test.skipIf(browserMissing)("a graph of another tool classifies without complaints, and has no layers", async () => {
  await withView("try", async (page) => {
    await page.getByRole("link", { name: "Look inside" }).click();
    await page.locator("option[value=loaded]").waitFor({ state: "attached" });
    await page.getByRole("link", { name: "Try", exact: true }).click();
    await page.locator("#model-file").setInputFiles(graphOfTorch);
    await page.getByText("5 classes · images of 19×21").waitFor();
    await page.getByTitle("Cat").click();
    await expect.poll(() => answers(page)).toHaveLength(5);
    await page.getByRole("link", { name: "Look inside" }).click();
    await page.locator(".notice").waitFor();
    expect(await notice(page)).toContain('"torch-plain.onnx": its graph has no known features');
    expect(await page.locator(".totals").textContent()).toBe(
      "134 layers · 22.9M parameters · 8.36 GMACs for one image",
    );
    expect(await page.locator("option[value=loaded]").count()).toBe(0);
    // It is given up without another complaint.
    await page.getByRole("button", { name: "Close" }).click();
    await page.getByRole("link", { name: "Try", exact: true }).click();
    await page.getByText("Use another model").click();
    await page.getByRole("button", { name: "Emoji demo" }).click();
    await page.getByText("5 classes · images of 72×72").waitFor();
    await page.getByTitle("T-Rex").click();
    await expect.poll(() => page.locator(".headline").textContent()).toBe("animals & plants");
    expect(await page.locator(".notice").count()).toBe(0);
  });
});

test.skipIf(browserMissing)("classifies where nothing may be stored, and says why it cannot teach there", async () => {
  await withView("try", async (page) => {
    await page.addInitScript(() => {
      IDBFactory.prototype.open = () => {
        throw new DOMException("denied", "SecurityError");
      };
    });
    await page.reload();
    await page.getByTitle("Cat").click();
    await expect.poll(() => answers(page)).toHaveLength(5);
    await page.getByTitle("Hamburger").click();
    await expect.poll(() => page.locator(".headline").textContent()).toBe("food");
    expect(await page.locator(".notice").count()).toBe(0);
    await page.getByRole("link", { name: "Teach" }).click();
    await page.locator(".notice").waitFor();
    expect(await notice(page)).toBe(
      "This browser does not let the page store classes: allow site data for it, or leave the private window.",
    );
  });
});

test.skipIf(browserMissing)("takes images that are dragged onto a class, and says where others belong", async () => {
  const [text, images] = [
    join(started.folder, "notes.txt"),
    ["1f353", "1f34e"].map((code) => join(emoji, `${code}.png`)),
  ];
  await writeFile(text, "not an image");
  await withView("teach", async (page) => {
    await dragTo(page, "class-card", images);
    await page.locator("class-card").first().getByText("2 images").waitFor();
    await dragTo(page, "class-card", [text]);
    await page.locator(".notice").waitFor();
    expect(await notice(page)).toBe("There is no image among these files.");
    await dragTo(page, "main h1", images);
    await page.getByText("Images need a class").waitFor();
    expect(await notice(page)).toBe("Images need a class: drop them on one. Only folders can be dropped anywhere.");
    expect(page.url()).toBe(`${started.site.address}#teach`);
    // Where nothing can be dropped, the file does not replace the page.
    await page.getByRole("link", { name: "Prove" }).click();
    await page.getByRole("heading", { name: "Check this browser" }).waitFor();
    await dragTo(page, "main h1", images);
    await page.getByRole("link", { name: "Teach" }).click();
    await page.locator("class-card").first().getByText("2 images").waitFor();
  });
});

test.skipIf(browserMissing)("says so when the page's worker cannot start", async () => {
  await withView("prove", async (page) => {
    await page.route("**/worker-*.js", (route) => route.abort());
    await page.getByRole("button", { name: "Compare" }).click();
    await page.locator(".notice").waitFor();
    expect(await notice(page)).toBe(
      "The page's worker has ended: its script cannot be loaded, or the memory is full. Reload the page.",
    );
    await page.unroute("**/worker-*.js");
    await page.getByRole("button", { name: "Compare" }).click();
    await page.getByText("Passed.").waitFor();
  });
});

test.skipIf(browserMissing).each([
  [
    "NotAllowedError",
    "The browser does not let this page use the webcam. Allow it in the browser's settings for this page.",
  ],
  ["NotFoundError", "There is no webcam."],
  [undefined, "The webcam needs HTTPS or localhost."],
])("says why there is no webcam: %s", async (name, message) => {
  await withView("try", async (page) => {
    await page.evaluate((error) => {
      const devices = { getUserMedia: () => Promise.reject(new DOMException("no", error)) };
      Object.defineProperty(navigator, "mediaDevices", { value: error && devices });
    }, name);
    await page.getByRole("button", { name: "Webcam", exact: true }).click();
    await page.locator(".notice").waitFor();
    expect(await notice(page)).toBe(message);
  });
});

test.skipIf(browserMissing)("nothing replaces a project while it is trained on", async () => {
  await withView("teach", async (page, problems) => {
    await teach(page);
    await page.getByRole("button", { name: "Fine-tune block 14" }).click();
    expect(await page.getByRole("button", { name: "Remove everything" }).isDisabled()).toBe(true);
    await page.locator("fieldset:enabled").getByRole("button", { name: "Remove everything" }).waitFor();
    expect(problems).toEqual([]);
  });
});

test.skipIf(browserMissing)("opens an archive twice, and says what is wrong with another", async () => {
  await withView("teach", async (page) => {
    const [first] = await page.getByLabel("Name of the class").all();
    await first!.fill("fruit");
    await first!.press("Enter");
    await page.getByRole("button", { name: "Remove fruit" }).waitFor();
    await page.locator("class-card input[type=file]").first().setInputFiles(join(emoji, "1f353.png"));
    await page.getByText("1 image", { exact: true }).waitFor();
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Images (.zip)", exact: true }).click(),
    ]);
    const path = join(started.folder, "images.zip");
    await download.saveAs(path);
    for (const count of ["2 images", "3 images"]) {
      await page.locator("#archive").setInputFiles(path);
      await page.locator("class-card").first().getByText(count).waitFor();
    }
    const open = async (files: Record<string, Uint8Array>) => {
      await writeFile(path, zipSync(files));
      await page.locator("#archive").setInputFiles(path);
      await page.locator(".notice").waitFor();
      const message = await notice(page);
      await page.getByRole("button", { name: "Close" }).click();
      return message;
    };
    expect(await open({})).toBe("There is neither an image in a folder nor a model in this archive.");
    // Neither a description nor a model of this page: they are not kept.
    const junk = new TextEncoder().encode("{junk");
    expect(await open({ "project.json": junk, "model.onnx": junk })).toContain("file of 5 bytes: unknown file format");
    await page.reload();
    await page.getByText("Builds on: Emoji demo").waitFor();
    expect(await page.locator(".notice").count()).toBe(0);
  });
});

test.skipIf(browserMissing)(
  "images that are added to a class which another tab has removed are shown again",
  async () => {
    await withView("teach", async (page) => {
      const names = () =>
        page
          .getByLabel("Name of the class")
          .evaluateAll((all) => (all as HTMLInputElement[]).map(({ value }) => value));
      await page.getByRole("button", { name: "Remove Class 2" }).waitFor();
      const other = await page.context().newPage();
      await other.goto(`${started.site.address}#teach`);
      await other.getByRole("button", { name: "Remove Class 1" }).click();
      await other.getByRole("button", { name: "Remove Class 1" }).waitFor({ state: "detached" });
      await other.close();
      await page.locator("class-card input[type=file]").first().setInputFiles(join(emoji, "1f353.png"));
      await page.locator("class-card").first().getByText("1 image").waitFor();
      await page.reload();
      await page.locator("class-card").first().getByText("1 image").waitFor();
      expect(await names()).toEqual(["Class 1", "Class 2"]);
      // A new class takes the first name that is free.
      await page.getByRole("button", { name: "Remove Class 1" }).click();
      await page.reload();
      await page.getByRole("button", { name: "Remove Class 1" }).waitFor();
      expect(await names()).toEqual(["Class 2", "Class 1"]);
    });
  },
);
