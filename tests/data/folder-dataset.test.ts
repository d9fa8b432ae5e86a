import { describe, expect, it } from "vitest";
import { compareCodePoints, folderDataset, unsupportedKinds } from "../../src/data/dataset.ts";

function listing(...files: string[]) {
  const folders = files.filter((file) => file.includes("/")).map((file) => file.split("/")[0]!);
  return { path: "photos", folders: [...new Set(folders)], files };
}

describe("folderDataset", () => {
  it("takes the subfolders as classes, in order, and their images at any depth", () => {
    const dataset = folderDataset(listing("dog/b.PNG", "cat/old/a.jpeg", "dog/a.webp"));
    expect(dataset.classes).toEqual(["cat", "dog"]);
    expect(dataset.samples).toEqual([
      { image: "photos/cat/old/a.jpeg", label: 0, name: "cat/old/a.jpeg" },
      { image: "photos/dog/a.webp", label: 1, name: "dog/a.webp" },
      { image: "photos/dog/b.PNG", label: 1, name: "dog/b.PNG" },
    ]);
    expect(dataset.ignored).toEqual({ hidden: 0, notImages: 0, outsideClasses: 0 });
  });

  it("counts what it leaves out", () => {
    const dataset = folderDataset(
      listing("a/1.jpg", "b/1.jpg", "a/.1.jpg", ".cache/x/1.jpg", "a/.old/2.jpg", "b/notes.txt", "b/jpg", "loose.jpg"),
    );
    expect(dataset.classes).toEqual(["a", "b"]);
    expect(dataset.samples.map(({ name }) => name)).toEqual(["a/1.jpg", "b/1.jpg"]);
    expect(dataset.ignored).toEqual({ hidden: 3, notImages: 2, outsideClasses: 1 });
  });

  it("knows the extensions of all formats", () => {
    const files = ["jpg", "jpeg", "jfif", "png", "webp", "avif", "gif", "tif", "tiff"].map((end) => `a/1.${end}`);
    expect(folderDataset(listing(...files, "b/1.jpg")).samples).toHaveLength(10);
  });

  it("does not depend on the order of the listing", () => {
    const files = ["b/2.jpg", "a/1.jpg", "b/10.jpg", "a/é.jpg"];
    expect(folderDataset(listing(...files.toReversed()))).toEqual(folderDataset(listing(...files)));
  });
});

it("counts files that are not supported images by extension", () => {
  const files = [
    "a/1.jpg",
    "a/2.HEIC",
    "b/3.heic",
    "b/README",
    "b/x.y/readme",
    ".git/config",
    "a/.DS_Store",
    "b/4.svg",
  ];
  expect([...unsupportedKinds(files)]).toEqual([
    [".heic", 2],
    [".svg", 1],
    ["without extension", 2],
  ]);
});

describe("compareCodePoints", () => {
  it("orders as Python's sorted() does", () => {
    // python3 -c 'print(sorted(["b","B","é","Ａ","😀","😁","ab","a",""]))'
    const sorted = ["", "B", "a", "ab", "b", "é", "Ａ", "😀", "😁"];
    expect(sorted.toReversed().sort(compareCodePoints)).toEqual(sorted);
    expect(sorted.toReversed().sort()).not.toEqual(sorted);
  });
});

describe("folders that are refused", () => {
  function refusal(...args: Parameters<typeof folderDataset>): string {
    try {
      folderDataset(...args);
    } catch (error) {
      return `${(error as { code: string }).code} ${(error as Error).message}`;
    }
    return expect.fail("it was accepted");
  }

  it("empty", () => {
    expect(refusal(listing())).toMatchInlineSnapshot(
      `"DATA data set "photos": the folder has no class folders; expected one subfolder of images for each class, e.g. photos/cat/1.jpg and photos/dog/1.jpg."`,
    );
  });
  it("images without class folders", () => {
    expect(refusal(listing("1.jpg", "2.jpg"))).toMatchInlineSnapshot(
      `"DATA data set "photos": there are no class folders, only loose images (2); expected one subfolder of images for each class, e.g. photos/cat/1.jpg and photos/dog/1.jpg."`,
    );
  });
  it("no images", () => {
    expect(refusal(listing("a/1.txt", "b/1.txt"))).toMatchInlineSnapshot(
      `"DATA data set "photos": there are no images in its subfolders (2); expected one subfolder of images for each class, e.g. photos/cat/1.jpg and photos/dog/1.jpg; files that end in .jpg .jpeg .jfif .png .webp .avif .gif .tif .tiff .bmp."`,
    );
  });
  it("classes without images", () => {
    const folders = ["a", "b", "c", ".git"];
    expect(refusal({ path: "photos", folders, files: ["b/1.jpg", "c/1.txt"] })).toMatchInlineSnapshot(
      `"DATA data set "photos": there are classes without images; received ["a", "c"]. Add images to these folders or remove them."`,
    );
  });
  it("one class", () => {
    expect(refusal(listing("a/1.jpg", "a/2.jpg"))).toMatchInlineSnapshot(
      `"DATA data set "photos": there is only one class; received "a"; expected one subfolder of images for each class, e.g. photos/cat/1.jpg and photos/dog/1.jpg."`,
    );
  });
});
