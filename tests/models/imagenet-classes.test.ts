import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { imagenetClasses, imagenetLabels } from "../../src/models/imagenet-classes.ts";

test("all 1000 classes stand in Keras's order", async () => {
  const classes = await imagenetClasses();
  expect(classes).toHaveLength(1000);
  expect([0, 2, 387, 388, 999].map((index) => classes[index])).toEqual([
    { wordNetId: "n01440764", name: "tench" },
    { wordNetId: "n01484850", name: "great_white_shark" },
    { wordNetId: "n02509815", name: "lesser_panda" },
    { wordNetId: "n02510455", name: "giant_panda" },
    { wordNetId: "n15075141", name: "toilet_tissue" },
  ]);
  // Of Keras's list as "number name" lines.
  const text = classes.map(({ wordNetId, name }) => `${wordNetId} ${name}\n`).join("");
  expect(createHash("sha256").update(text).digest("hex")).toBe(
    "7f39e1b849d151d8ce7ae6ce4caf65e9106e2e8d8357a6fd9d03c41ec88d9ee7",
  );
});

test("labels tell the classes apart that share a name", async () => {
  const labels = await imagenetLabels();
  expect(new Set(labels).size).toBe(1000);
  expect([134, 517, 638, 639].map((index) => labels[index])).toEqual([
    "crane (n02012849)",
    "crane (n03126707)",
    "maillot (n03710637)",
    "maillot (n03710721)",
  ]);
  expect(labels[386]).toBe("African_elephant");
});

test("they are those of Keras's own file", async (context) => {
  const file = join(root, "../shared/data/imagenet_class_index.json");
  if (!existsSync(file)) return context.skip("Keras's list is not there");
  const index = JSON.parse(readFileSync(file, "utf8")) as Record<string, [string, string]>;
  const classes = await imagenetClasses();
  expect(classes.map(({ wordNetId, name }) => [wordNetId, name])).toEqual(classes.map((_, at) => index[String(at)]));
});
