import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { refreshBlocks } from "../../scripts/generated-blocks.ts";
import { root } from "../../scripts/project-root.mjs";
import { documents, generators } from "../../scripts/readme-generators.ts";
import { projectFiles, readProjectFile } from "./project-files.ts";

test.each(documents)("%s shows what its examples and commands really are", (document) => {
  const text = readProjectFile(document);
  expect(refreshBlocks(text, generators), "run `npm run readme`").toBe(text);
});

test("the README fits on two screens", () => {
  expect(readProjectFile("README.md").split("\n").length).toBeLessThanOrEqual(150);
});

test("the code and the output in the README are generated", () => {
  const byHand = readProjectFile("README.md").replaceAll(/^<!-- begin:(\w+) [\s\S]*?^<!-- end:\1 -->$/gm, "");
  expect(byHand.match(/^```(ts|console)$/gm)).toBeNull();
});

describe("examples", () => {
  // Below the project, where Node finds tsx.
  const folder = join(root, "node_modules", ".cache", `xception-examples-${process.pid}`);
  const run = (file: string, ...args: string[]) =>
    execFileSync(process.execPath, ["--import", "tsx", join(root, "examples", file), ...args], {
      cwd: folder,
      env: { ...process.env, TSX_TSCONFIG_PATH: join(root, "tsconfig.json") },
    });

  beforeAll(() => {
    mkdirSync(join(folder, "run"), { recursive: true });
    copyFileSync(join(root, "tests/golden/imagenet-block13/elephant-299.png"), join(folder, "elephant.png"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  // First, since the others classify with the model that it writes.
  test("train.ts runs", () => expect(run("train.ts", "run/model.onnx").length).toBeGreaterThan(0));
  const others = readdirSync(join(root, "examples")).filter((file) => file.endsWith(".ts") && file !== "train.ts");
  test.each(others)("%s runs", (file) => expect(run(file).length).toBeGreaterThan(0));
});

test("links between the documents lead somewhere", () => {
  const files = projectFiles();
  const markdown = files.filter((file) => file.endsWith(".md"));
  const dead = markdown.flatMap((file) => {
    const links = [...readProjectFile(file).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, link]) => link!);
    const targets = links.map((link) => new URL(link, `file:///${file}`).pathname.slice(1).replace(/\/$/, ""));
    return targets
      .filter((target) => !files.some((each) => each === target || each.startsWith(`${target}/`)))
      .map((target) => `${file}: ${target}`);
  });
  expect(dead).toEqual([]);
});

test("the changelog has a place for the next change", () => {
  expect(readProjectFile("CHANGELOG.md")).toMatch(/^## \[?Unreleased\]?$/m);
});
