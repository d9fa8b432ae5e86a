import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it } from "vitest";
import { capture } from "./capture.ts";
import { smallTraining, writeImages } from "./train-fixtures.ts";

let work: string;
beforeEach(async () => {
  const before = process.cwd();
  work = await mkdtemp(join(tmpdir(), "xception-folders-"));
  process.chdir(work);
  return async () => {
    process.chdir(before);
    await rm(work, { recursive: true });
  };
});

it("writes runs/NAME-N without --output", async () => {
  await writeImages("photos", 4, 1);
  const words = ["train", "photos", ...smallTraining, "--epochs", "1"];
  for (const [number, flags] of [[1, []] as const, [2, ["--json"]] as const]) {
    const { exitCode, stderr } = await capture([...words, ...flags]);
    expect(exitCode, stderr).toBe(0);
    expect(stderr).toContain(` into runs/photos-${number}\n`);
  }
  expect(await readdir("runs")).toEqual(["photos-1", "photos-2"]);
  expect(await readdir("runs/photos-2")).toContain("model.onnx");
});

it("trains on few images although some are damaged, and names files it cannot read", async () => {
  await writeImages("photos", 5, 1);
  await writeFile("photos/red/damaged.png", "no image");
  await writeFile("photos/blue/empty.jpg", "");
  for (const name of ["a.heic", "b.HEIC", "c.svg"]) await writeFile(join("photos", "red", name), "");
  const network = "--image-size 71 --width 0.01 --middle-flow-repeats 0 --epochs 1".split(" ");
  const { exitCode, stderr } = await capture(["train", "photos", "-o", "run", ...network]);
  expect(exitCode, stderr).toBe(0);
  expect(stderr).toContain("Skipped files in photos that are not supported images: 2 .heic, 1 .svg\n");
  expect(stderr).toMatch(/^skipped: .*(damaged\.png|empty\.jpg)/m);
});
