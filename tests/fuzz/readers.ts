import fc from "fast-check";
import type { FuzzedReader } from "./reader.ts";
import { imageReaders } from "./readers-images.ts";
import { ourReaders } from "./readers-ours.ts";
import { weightsReaders } from "./readers-weights.ts";

/** Every reader of files from outside. */
export const readers: readonly FuzzedReader[] = [...weightsReaders, ...ourReaders, ...imageReaders];

/** Case number `index` of a reader, the same every time. */
export function caseOf(cases: fc.Arbitrary<unknown>, index: number): unknown {
  return fc.sample(cases, { seed: index, numRuns: 1 })[0];
}
