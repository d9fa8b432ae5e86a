import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listFolder } from "../../src/runtime/node/files.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "folders-"));
});
afterEach(() => rm(root, { recursive: true }));

async function write(...files: string[]): Promise<void> {
  for (const file of files) {
    await mkdir(join(root, file, ".."), { recursive: true });
    await writeFile(join(root, file), "");
  }
}

async function list(): Promise<{ folders: string[]; files: string[] }> {
  const listing = await listFolder(root);
  expect(listing.path).toBe(root);
  return { folders: [...listing.folders].sort(), files: [...listing.files].sort() };
}

async function refusal(path: string): Promise<string> {
  const error = await listFolder(path).then(
    () => expect.fail("it was listed"),
    (error) => error,
  );
  return `${error.code} ${error.message.replaceAll(root, "photos").replaceAll("\\", "/").replaceAll(/x+/g, "xx")}`;
}

describe("listFolder", () => {
  it("lists files at any depth, hidden ones too, and the empty folders directly below", async () => {
    await write("b/2.jpg", "a/deep/er/1.jpg", ".hidden", "notes.txt");
    await mkdir(join(root, "empty"));
    expect(await list()).toEqual({
      folders: ["a", "b", "empty"],
      files: [".hidden", "a/deep/er/1.jpg", "b/2.jpg", "notes.txt"],
    });
  });

  it("follows links to folders and files, also two to the same one", async () => {
    await write("a/1.jpg");
    await symlink(join(root, "a"), join(root, "b"));
    await symlink(join(root, "a"), join(root, "c"));
    await symlink(join(root, "a", "1.jpg"), join(root, "a", "2.jpg"));
    const files = ["a", "b", "c"].flatMap((folder) => [`${folder}/1.jpg`, `${folder}/2.jpg`]);
    expect(await list()).toEqual({ folders: ["a", "b", "c"], files });
  });

  it("does not run in circles", async () => {
    await write("a/1.jpg", "b/2.jpg");
    await symlink(root, join(root, "a", "up"));
    await symlink("/", join(root, "a", "top"));
    await symlink(join(root, "a"), join(root, "a", "self"));
    await symlink(join(root, "b"), join(root, "a", "other"));
    await symlink(join(root, "a"), join(root, "b", "back"));
    expect((await list()).files).toEqual(["a/1.jpg", "b/2.jpg"]);
  });

  it("visits folders that all link to each other once", async () => {
    const folders = Array.from({ length: 12 }, (_, index) => `class-${index}`);
    await write(...folders.map((folder) => `${folder}/1.jpg`));
    for (const from of folders) for (const to of folders) await symlink(join(root, to), join(root, from, `to-${to}`));
    expect((await list()).files).toEqual(folders.map((folder) => `${folder}/1.jpg`).sort());
  });

  it("lists a folder outside once, however often the folders inside link to it", async () => {
    await write("photos/a/1.jpg", "photos/b/2.jpg", "shared/3.jpg", "shared/deep/4.jpg");
    for (const name of ["a", "b"]) await symlink(join(root, "shared"), join(root, "photos", name, "more"));
    const { files } = await listFolder(join(root, "photos"));
    const linked = files.filter((file) => file.includes("more/")).map((file) => file.slice(2));
    expect(linked.sort()).toEqual(["more/3.jpg", "more/deep/4.jpg"]);
  });

  it("lists a link that leads nowhere as a file, to be reported by whoever opens it", async () => {
    await symlink(join(root, "gone"), join(root, "1.jpg"));
    await symlink(join(root, "2.jpg"), join(root, "2.jpg"));
    expect(await list()).toEqual({ folders: [], files: ["1.jpg", "2.jpg"] });
  });
});

describe("folders that are refused", () => {
  it("missing", async () => {
    expect(await refusal(join(root, "none"))).toMatchInlineSnapshot(
      `"DATA folder "photos/none": there is no such folder."`,
    );
  });
  it("a file", async () => {
    await write("1.jpg");
    expect(await refusal(join(root, "1.jpg"))).toMatchInlineSnapshot(
      `"DATA folder "photos/1.jpg": this is not a folder."`,
    );
  });
  it("unreadable", async () => {
    expect(await refusal(join(root, "x".repeat(300)))).toMatchInlineSnapshot(
      `"DATA folder "photos/xx": the folder cannot be read (ENAMETOOLONG)."`,
    );
  });
});
