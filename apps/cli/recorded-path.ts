import { dirname, relative, resolve, sep } from "node:path";
import { isAddress } from "../../src/base/source.ts";
import { namedWeights } from "../../src/model/published-weights.ts";
import { isWithin } from "./train/run-folder.ts";

function isPath(name: string): boolean {
  return !isAddress(name) && !namedWeights.some((weights) => weights.name === name);
}

/** A path relative to a file, with `/` as the separator, so that both can be moved together; URLs are unchanged. */
export function pathFrom(file: string, path: string): string {
  if (!isPath(path)) return path;
  const steps = relative(dirname(resolve(file)), resolve(path)).split(sep);
  return steps.join("/") || ".";
}

/** Resolves the path of a model in a file; undefined unless it is below the file's folder, since the file may be untrusted. */
export function pathBelow(file: string, path: string): string | undefined {
  const folder = dirname(resolve(file));
  const resolved = resolve(folder, path);
  return isPath(path) && isWithin(folder, resolved) ? relative(".", resolved) : undefined;
}
