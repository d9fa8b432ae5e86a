import { runJob } from "../jobs.ts";
import type { ArchivedFile } from "./archive.ts";
import { store, type TaughtClass } from "./store.ts";

/** Names in a project archive, beside one folder per class. */
const names = { description: "project.json", model: "model.onnx" } as const;

const format = "xception-ts page project";

/** Describes a project, where folders cannot: names that no folder may have, and the threshold. */
interface ProjectDescription {
  readonly format: typeof format;
  readonly classes: readonly { readonly folder: string; readonly name: string }[];
  readonly unknownBelow?: number;
}

/** Writes all images, a folder per class, as `xception train` reads them; with `all` also the model. */
export async function exportArchive(classes: readonly TaughtClass[], all: boolean): Promise<Blob> {
  const files: ArchivedFile[] = [];
  const folders: { folder: string; name: string }[] = [];
  for (const { id, name } of classes) {
    const folder = folderFor(name, folders);
    folders.push({ folder, name });
    for (const image of await store.imagesOf(id)) {
      const extension = /^image\/(png|webp|avif|gif|bmp)$/.exec(image.file.type)?.[1] ?? "jpg";
      files.push({ path: `${folder}/${String(image.id).padStart(5, "0")}.${extension}`, file: image.file });
    }
  }
  if (all) {
    const model = await store.model();
    const description: ProjectDescription = { format, classes: folders, unknownBelow: model?.unknownBelow ?? 0 };
    files.push({ path: names.description, file: new Blob([JSON.stringify(description, null, 2)]) });
    if (model) files.push({ path: names.model, file: model.file });
  }
  return runJob("writeArchive", files);
}

/** A folder's name that every system allows and no other class has. */
function folderFor(name: string, others: readonly { readonly folder: string }[]): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what folders may not contain.
  const plain = name.replaceAll(/[\u0000-\u001f/\\:*?"<>|]/g, "_").replace(/^\.+|[. ]+$/g, "") || "class";
  const isTaken = (folder: string) => others.some((other) => other.folder.toLowerCase() === folder.toLowerCase());
  let folder = plain;
  for (let number = 2; isTaken(folder); number++) folder = `${plain} ${number}`;
  return folder;
}

/** The content of an archive that was exported here, or of any with a folder per class. */
export interface ImportedArchive {
  /** Images by the name of their class. */
  readonly images: ReadonlyMap<string, readonly Blob[]>;
  readonly model: { readonly file: Blob; readonly unknownBelow: number } | undefined;
}

/** Reads an archive. @throws {Error} it is damaged. */
export async function importArchive(archive: Blob): Promise<ImportedArchive> {
  const files = await runJob("readArchive", archive);
  const description = await descriptionIn(files);
  const nameOf = new Map(description?.classes.map(({ folder, name }) => [folder, name]));
  const images = new Map<string, Blob[]>(description?.classes.map(({ name }) => [name, []]));
  let model: Blob | undefined;
  for (const { path, file } of files) {
    const parts = path.split("/");
    if (path.endsWith(names.model)) model = file;
    if (parts.length < 2 || /\.(onnx|json)$/i.test(path)) continue;
    const folder = parts.at(-2)!;
    const name = nameOf.get(folder) ?? folder;
    images.set(name, [...(images.get(name) ?? []), file]);
  }
  return { images, model: model && { file: model, unknownBelow: description?.unknownBelow ?? 0 } };
}

async function descriptionIn(files: readonly ArchivedFile[]): Promise<ProjectDescription | undefined> {
  const found = files.find(({ path }) => path.endsWith(names.description));
  if (!found) return undefined;
  const { format: own, classes, unknownBelow } = parsed(await found.file.text());
  const isValid =
    own === format &&
    Array.isArray(classes) &&
    classes.every((each) => typeof each?.name === "string" && typeof each.folder === "string");
  if (!isValid) return undefined;
  return { format, classes, unknownBelow: Math.min(1, Math.max(0, Number(unknownBelow) || 0)) };
}

/** A file of another program may have the same name, and any content. */
function parsed(text: string): Partial<ProjectDescription> {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
