import { inflateRawSync } from "node:zlib";
import { expect, it } from "vitest";
import { compileKernels } from "../../scripts/build-kernels.mjs";
import { plainKernels, relaxedKernels } from "../../src/runtime/wasm/kernel-modules.ts";

it.each([
  ["with", true, relaxedKernels],
  ["without", false, plainKernels],
] as const)(
  "the kernels %s relaxed SIMD are what `npm run kernels` makes of their source",
  (_, isRelaxed, committed) => {
    expect(inflateRawSync(Buffer.from(committed, "base64")).equals(compileKernels(isRelaxed))).toBe(true);
  },
);
