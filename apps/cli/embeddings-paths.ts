import { dirname, isAbsolute, relative, resolve, sep } from "node:path";
import { isAddress } from "../../src/source.ts";

/** What a file calls something that is no path: an address, or the published weights. */
function isNoPath(name: string): boolean {
  return name === "imagenet" || isAddress(name);
}

/** A path as seen from a file, with `/` between the parts: both can then be moved together. */
export function pathFrom(file: string, path: string): string {
  if (isNoPath(path)) return path;
  return (
    relative(dirname(resolve(file)), resolve(path))
      .split(sep)
      .join("/") || "."
  );
}

/** The other way round: a path in a file, as seen from here. */
export function pathIn(file: string, path: string): string {
  if (isNoPath(path) || isAbsolute(path)) return path;
  return relative(".", resolve(dirname(file), path)) || ".";
}
