import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { FormatError, WeightsError } from "../../src/errors.ts";
import { readKerasFile } from "../../src/weights/keras-file.ts";
import { networkFromKeras } from "../../src/weights/keras-network.ts";
import { mapWeights } from "../../src/weights/map-weights.ts";
import { damaged } from "./damaged.ts";

const where = "the file";
const formats = join(root, "tests/golden/formats");
const files = ["small.keras", "small.h5", "small-weights-only.h5", "small.weights.h5"];
// The HDF5 library itself does not return from a few kinds of damage (docs/sources/keras.md), so the cases are fixed.
const cases = { numRuns: 200, seed: 1 };

beforeEach(() => {
  for (const stream of ["log", "warn", "error"] as const) vi.spyOn(console, stream).mockImplementation(() => {});
});

afterEach(() => {
  for (const stream of ["log", "warn", "error"] as const) expect(console[stream]).not.toHaveBeenCalled();
  vi.restoreAllMocks();
});

/** Reads as far as it goes: a damage may hit nothing that is looked at. */
async function readOrRefuse(bytes: Uint8Array): Promise<void> {
  try {
    const { config, layers } = await readKerasFile(bytes, where);
    if (config === undefined) return;
    const { network, constants } = networkFromKeras(config, { where });
    mapWeights(network, layers, { where, constants });
  } catch (error) {
    if (!(error instanceof FormatError || error instanceof WeightsError)) throw error;
    expect(error.message).toMatch(/^the file/);
  }
}

describe("a damaged file is refused with its name, and nothing is printed", () => {
  test.each(files)(
    "%s",
    async (file) => {
      const good = new Uint8Array(readFileSync(join(formats, file)));
      await fc.assert(fc.asyncProperty(damaged(good), readOrRefuse), cases);
      // The engine is still sound.
      expect((await readKerasFile(good, file)).layers).toHaveLength(9);
    },
    60_000,
  );

  test("random bytes behind the right beginning", async () => {
    const beginnings = [[], [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a], [0x50, 0x4b, 0x03, 0x04]];
    const random = fc.tuple(fc.constantFrom(...beginnings), fc.uint8Array({ maxLength: 500 }));
    const refused = async ([beginning, rest]: [number[], Uint8Array]): Promise<void> => {
      await expect(readKerasFile(Uint8Array.of(...beginning, ...rest), "the file")).rejects.toThrow(FormatError);
    };
    await fc.assert(fc.asyncProperty(random, refused), cases);
  }, 60_000);
});
