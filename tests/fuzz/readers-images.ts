import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { damaged } from "../formats/damaged.ts";
import { damagedHeaders, smallImages } from "./image-structures.ts";
import { type FuzzedReader, reader, where } from "./reader.ts";

const folder = mkdtempSync(join(tmpdir(), "fuzzed-images-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));

/** Sizes of the decoded image: that of a network, its own, and one that lets a JPEG shrink while it is decoded. */
const sizes = [{ width: 24, height: 24, fit: "cover" }, {}, { atLeast: { width: 5, height: 5 } }] as const;

interface FuzzedImage {
  readonly bytes: Uint8Array;
  readonly size: (typeof sizes)[number];
}

async function images(): Promise<fc.Arbitrary<FuzzedImage>> {
  const files = Object.entries(await smallImages()) as [keyof typeof damagedHeaders, Uint8Array[]][];
  const bytes = files.flatMap(([format, list]) =>
    list.flatMap((good) => [
      { weight: 1, arbitrary: damaged(good) },
      { weight: 2, arbitrary: damagedHeaders[format](good) },
    ]),
  );
  return fc.record({ bytes: fc.oneof(...bytes), size: fc.constantFrom(...sizes) });
}

/** From a file, whose name is in errors. */
async function decode({ bytes, size }: FuzzedImage): Promise<void> {
  const path = join(folder, where);
  writeFileSync(path, bytes);
  const { width, height, data } = await nodePlatform.images.decode(path, size);
  if (data.length !== 3 * width * height) throw new Error(`${data.length} bytes for ${width}×${height} pixels`);
}

/** Images in every format that is decoded. */
export const imageReaders: readonly FuzzedReader[] = [reader("images", images, decode)];
