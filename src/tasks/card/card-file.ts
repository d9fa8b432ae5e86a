import { sha256 } from "../../base/checksums.ts";
import { FileError } from "../../base/errors.ts";
import type { FileSystem } from "../../base/platform.ts";

const before = "<!-- xception-ts replaces this card while it is unedited: SHA-256 ";
const after = " -->\n";

/** The name of a model's card: `model.onnx.md`, so that those of several models in a folder differ. */
export function cardPath(model: string): string {
  return `${model}.md`;
}

/** The note that an edited card was kept. */
export function keptCard(model: string): string {
  return `The card ${cardPath(model)} has been edited and is kept; for a new one, remove it: xception card ${model}`;
}

/** Adds a checksum as a comment, by which {@link isReplaceable} detects edits. */
export async function sealed(text: string): Promise<string> {
  return `${text}\n${before}${await sha256(text)}${after}`;
}

/** Returns whether a card may be written: there is no file at its path, or an unedited card. */
export async function isReplaceable(path: string, files: Pick<FileSystem, "read">): Promise<boolean> {
  let bytes: Uint8Array;
  try {
    bytes = await files.read(path);
  } catch (error) {
    if (error instanceof FileError) return error.isMissing;
    throw error;
  }
  const text = new TextDecoder().decode(bytes).replaceAll("\r\n", "\n");
  const start = text.lastIndexOf(`\n${before}`);
  return start >= 0 && text === (await sealed(text.slice(0, start)));
}

/**
 * Writes a card beside its model, unless there is an edited one.
 * @param model path of the model.
 * @returns the card's path; undefined if it was kept as it is.
 */
export async function writeCard(model: string, text: string, files: FileSystem): Promise<string | undefined> {
  const path = cardPath(model);
  if (!(await isReplaceable(path, files))) return undefined;
  await files.write(path, text);
  return path;
}
