import { DataError } from "../errors.ts";
import type { FolderListing } from "../platform.ts";
import { compareCodePoints } from "./code-point-order.ts";
import type { ImageDataset, Sample } from "./dataset.ts";

const imageExtensions = ["jpg", "jpeg", "jfif", "png", "webp", "avif", "gif", "tif", "tiff"];

/** A data set read from a folder with one sub-folder for each class. */
export interface FolderDataset extends ImageDataset {
  /** Files that are not part of it, counted by reason. */
  readonly ignored: {
    /** Its name, or that of a folder it lies in, starts with a dot. */
    readonly hidden: number;
    /** Its name does not end like an image's. */
    readonly notImages: number;
    /** An image beside the class folders, not in one of them. */
    readonly outsideClasses: number;
  };
}

/**
 * The labeled images of a folder-per-class data set. Classes are the sub-folders, sorted by code point as Keras and
 * torchvision sort them, so that labels agree with theirs; images may lie in folders inside a class.
 * @throws {DataError} there are no class folders, no images, a class without images, or only one class.
 */
export function folderDataset(listing: FolderListing): FolderDataset {
  const classes = listing.folders.filter((name) => !name.startsWith(".")).sort(compareCodePoints);
  const labels = new Map(classes.map((name, label) => [name, label]));
  const ignored = { hidden: 0, notImages: 0, outsideClasses: 0 };
  const samples: Sample[] = [];
  for (const name of [...listing.files].sort(compareCodePoints)) {
    const label = labels.get(name.slice(0, name.indexOf("/")));
    if (isHidden(name)) ignored.hidden++;
    else if (!isImage(name)) ignored.notImages++;
    else if (!name.includes("/") || label === undefined) ignored.outsideClasses++;
    else samples.push({ image: `${listing.path}/${name}`, label, name });
  }
  assertUsable(listing.path, classes, samples, ignored.outsideClasses);
  return { classes, samples, ignored };
}

/** Whether a file below a folder is hidden: its own name, or that of a folder on the way to it, starts with a dot. */
export function isHidden(file: string): boolean {
  return file.split("/").some((part) => part.startsWith("."));
}

/** Whether a file is one of the images of a folder, judged by its name. */
export function isImage(file: string): boolean {
  return imageExtensions.includes(file.slice(file.lastIndexOf(".") + 1).toLowerCase());
}

function assertUsable(path: string, classes: readonly string[], samples: readonly Sample[], loose: number): void {
  const where = `data set "${path}"`;
  const layout = `one sub-folder of images for each class, e.g. ${path}/cat/1.jpg and ${path}/dog/1.jpg`;
  if (classes.length === 0) {
    const what =
      loose > 0 ? `there are no class folders, only loose images (${loose})` : "the folder has no class folders";
    throw new DataError({ where, what, expected: layout });
  }
  if (samples.length === 0) {
    throw new DataError({
      where,
      what: `there are no images in its sub-folders (${classes.length})`,
      expected: `${layout}; files that end in ${imageExtensions.map((extension) => `.${extension}`).join(" ")}`,
    });
  }
  const filled = new Set(samples.map(({ label }) => label));
  const empty = classes.filter((_, label) => !filled.has(label));
  if (empty.length > 0) {
    throw new DataError({
      where,
      what: "there are classes without images",
      received: empty,
      remedy: "Add images to these folders or remove them.",
    });
  }
  if (classes.length === 1) {
    throw new DataError({ where, what: "there is only one class", received: classes[0], expected: layout });
  }
}
