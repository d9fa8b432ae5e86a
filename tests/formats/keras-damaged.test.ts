import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { readKerasFile } from "../../src/formats/keras/file.ts";
import { damaged } from "./damaged.ts";

// The HDF5 library itself does not return from a few kinds of damage (docs/sources/keras.md), so the cases are fixed.
const cases = { numRuns: 40, seed: 1 };

test.each(["small.keras", "small.h5", "small-weights-only.h5", "small.weights.h5"])(
  "%s is still read after damaged ones, which must not leave the library damaged",
  async (file) => {
    const good = new Uint8Array(readFileSync(join(root, "tests/golden/formats", file)));
    const attempt = (bytes: Uint8Array) => readKerasFile(bytes, "the file").catch(() => undefined);
    await fc.assert(
      fc.asyncProperty(damaged(good), async (bytes) => {
        await attempt(bytes);
        expect((await readKerasFile(good, file)).layers).toHaveLength(9);
      }),
      cases,
    );
  },
);
