import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { RunFolder } from "../../apps/cli/train/run-folder.ts";

const events = "events.out.tfevents.1700000000.xception";
let work: string;
const run = () => join(work, "run");
const names = async (...parts: string[]) => (await readdir(join(work, ...parts))).sort();

beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "xception-run-folder-"));
  return () => rm(work, { recursive: true });
});

describe("the folder of a run that has saved nothing yet", () => {
  it("takes reports at once where no older run is", async () => {
    await mkdir(run());
    await writeFile(join(run(), "notes.txt"), "mine");
    await expect(RunFolder.claim(run())).rejects.toThrow(
      `folder "${run()}": it is not empty, and contains no run; received ["notes.txt"]. Choose another folder, or write ` +
        "into this one with --overwrite, which keeps other files.",
    );
    const folder = await RunFolder.claim(run(), { overwrite: true });
    expect(folder.isOwn).toBe(true);
    await folder.write("report", "<html>");
    await folder.writeEventFile(events, new Uint8Array(3));
    expect(await names("run")).toEqual(["notes.txt", "report.html", "tensorboard"]);
  });

  it("keeps an older run until this one saves something", async () => {
    await mkdir(join(run(), "tensorboard"), { recursive: true });
    for (const name of ["model.onnx", "report.html", join("tensorboard", events)]) {
      await writeFile(join(run(), name), "old");
    }
    const folder = await RunFolder.claim(run(), { overwrite: true });
    expect(folder.isOwn).toBe(false);
    await folder.writeCheckpointFile("step-00000004.safetensors", "new");
    expect(folder.isOwn).toBe(true);
    expect(await names("run")).toEqual(["checkpoints"]);
  });

  it("is left without reports of what failed, and without a folder of its own", async () => {
    const folder = await RunFolder.claim(run());
    await folder.write("reportData", "{}");
    await folder.write("report", "<html>");
    await folder.writeEventFile(events, new Uint8Array(3));
    await folder.removeEmptyRun();
    expect(await names("run")).toEqual([]);
    expect(folder.written).toEqual([]);
  });
});

it.each([
  ["that saved something", false],
  ["that goes on", true],
])("the reports of a run %s stay", async (_, resume) => {
  await mkdir(run());
  const folder = await RunFolder.claim(run(), { resume });
  await folder.write("report", "<html>");
  if (!resume) await folder.writeCheckpointFile("step-00000004.safetensors", "new");
  await folder.removeEmptyRun();
  expect(await names("run")).toContain("report.html");
});
