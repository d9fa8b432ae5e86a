import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FileError } from "../../src/base/errors.ts";
import { openWeightsFile } from "../../src/model/formats.ts";
import { loadModel } from "../../src/model/load-model.ts";
import { weightsSource } from "../../src/model/weights-file.ts";
import { assertWritable, readFile as readWhole, writeFileAtomic } from "../../src/runtime/node/files.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-files-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function messageOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(FileError);
  return (error as FileError).message;
}

describe("readFile", () => {
  it("reads a file with contents, without any, and one whose size is not that of its contents", async () => {
    await writeFile(join(folder, "a"), Uint8Array.of(1, 2, 3));
    await writeFile(join(folder, "b"), "");
    expect(await readWhole(join(folder, "a"))).toStrictEqual(Uint8Array.of(1, 2, 3));
    expect(await readWhole(join(folder, "b"))).toStrictEqual(new Uint8Array(0));
    if (process.platform !== "linux") return;
    expect(new TextDecoder().decode(await readWhole("/proc/self/status"))).toContain("\nThreads:");
  });

  it("refuses a file that is too large for Node", async () => {
    const path = join(folder, "huge");
    await writeFile(path, "");
    await truncate(path, 3 * 2 ** 30);
    expect(await messageOf(readWhole(path))).toBe(
      `file "${path}": it cannot be read (File size (3221225472) is greater than 2 GiB).`,
    );
  });
});

describe("writeFileAtomic", () => {
  it("writes text and bytes, replaces what was there and leaves nothing else behind", async () => {
    const path = join(folder, "model.dot");
    await writeFileAtomic(path, "old");
    await writeFileAtomic(path, new TextEncoder().encode("new"));
    expect(await readFile(path, "utf8")).toBe("new");
    expect(await readdir(folder)).toEqual(["model.dot"]);
  });

  it("writes through a symbolic link instead of replacing it", async () => {
    await writeFile(join(folder, "real"), "old");
    await symlink("real", join(folder, "link"));
    await writeFileAtomic(join(folder, "link"), "new");
    expect(await readFile(join(folder, "real"), "utf8")).toBe("new");
    expect((await readdir(folder)).sort()).toEqual(["link", "real"]);
  });

  it("says that the folder does not exist", async () => {
    const path = join(folder, "missing", "a.svg");
    expect(await messageOf(writeFileAtomic(path, ""))).toBe(
      `file "${path}": the folder ${join(folder, "missing")} does not exist. Create it first.`,
    );
  });

  it("says that the folder is a file", async () => {
    await writeFile(join(folder, "a"), "");
    const path = join(folder, "a", "b.svg");
    expect(await messageOf(writeFileAtomic(path, ""))).toBe(`file "${path}": ${join(folder, "a")} is not a folder.`);
  });

  it.runIf(process.platform === "linux")("says that the folder is not writable", async () => {
    // Nobody, not even root, may create files in /sys.
    expect(await messageOf(writeFileAtomic("/sys/a.svg", ""))).toBe(
      'file "/sys/a.svg": the folder /sys is not writable.',
    );
  });

  it("refuses to write over a folder and keeps it", async () => {
    const path = join(folder, "a.svg");
    await mkdir(path);
    expect(await messageOf(writeFileAtomic(path, ""))).toBe(
      `file "${path}": this is a folder; expected the name of a file to write.`,
    );
    expect(await readdir(folder)).toEqual(["a.svg"]);
  });

  it.runIf(process.platform !== "win32")("refuses to replace a device", async () => {
    expect(await messageOf(writeFileAtomic("/dev/null", ""))).toBe(
      'file "/dev/null": this is not a regular file; expected the name of a file to write.',
    );
  });

  it("passes on any other reason", async () => {
    const path = join(folder, `${"x".repeat(300)}.svg`);
    expect(await messageOf(writeFileAtomic(path, ""))).toMatch(/: it could not be written \(ENAMETOOLONG: .*\)\.$/);
  });
});

describe("assertWritable", () => {
  it("leaves a place where a file can be written as it is", async () => {
    const path = join(folder, "answers.csv");
    await assertWritable(path);
    expect(await readdir(folder)).toEqual([]);
    await writeFile(path, "old");
    await assertWritable(path);
    expect(await readFile(path, "utf8")).toBe("old");
    expect(await readdir(folder)).toEqual(["answers.csv"]);
  });

  it("refuses what writing would refuse, with the same words", async () => {
    await writeFile(join(folder, "a"), "");
    const places = [folder, join(folder, "missing", "b"), join(folder, "a", "b"), "/dev/null"];
    for (const path of places)
      expect(await messageOf(assertWritable(path))).toBe(await messageOf(writeFileAtomic(path, "")));
    expect(await readdir(folder)).toEqual(["a"]);
  });
});

describe.runIf(process.platform !== "win32")("a pipe or a device", () => {
  const refused = (path: string) => `file "${path}": this is not a regular file; expected a file to read.`;

  it("is refused before it is opened, which could block forever", async () => {
    const pipe = join(folder, "model.h5");
    execFileSync("mkfifo", [pipe]);
    expect(await messageOf(readWhole(pipe))).toBe(refused(pipe));
    expect(await messageOf(readWhole("/dev/zero"))).toBe(refused("/dev/zero"));
    expect(await messageOf(loadModel(pipe, nodePlatform))).toBe(refused(pipe));
  });

  it("is not opened as a shard of a model, whose weights are then missing", async () => {
    const weights = [{ name: "a/kernel", shape: [1], dtype: "float32" }];
    await writeFile(join(folder, "model.json"), JSON.stringify({ weightsManifest: [{ paths: ["shard"], weights }] }));
    execFileSync("mkfifo", [join(folder, "shard")]);
    const source = await weightsSource(join(folder, "model.json"), nodePlatform);
    expect((await openWeightsFile(source)).stored!()).toEqual([{ name: "a/kernel", shape: null }]);
    expect(await messageOf(source.readBeside("shard"))).toBe(refused(join(folder, "shard")));
  });
});
