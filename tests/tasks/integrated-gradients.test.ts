import { expect, it } from "vitest";
import { kerasPreprocessing } from "../../src/graph/preprocessing.ts";
import { methods } from "../../src/tasks/explain/methods.ts";
import type { Probe, Subject } from "../../src/tasks/explain/probe.ts";
import { type FloatTensor, floatTensor } from "../../src/tensor/tensor.ts";

it("integrated gradients add points where the logit bends, until the map adds up to its change within 1 %", async () => {
  // The red of one pixel on its way from −1, black, to 1: the logit is 0 up to 0.93, then rises to 7.
  const runs: number[] = [];
  const probe = {
    pixels: "pixels",
    model: { preprocessing: kerasPreprocessing },
    pixelGradients: async (images: readonly FloatTensor[]) =>
      images.map(({ data: [value = 0] }) => {
        runs.push(value);
        return { gradient: Float32Array.of(value > 0.93 ? 100 : 0, 0, 0), score: 100 * Math.max(0, value - 0.93) };
      }),
  };
  const subject = {
    image: { data: [255, 0, 0] },
    layers: { pixels: floatTensor([1, 1, 1, 3], Float32Array.of(1, 0, 0)) },
  };
  const explain = async (samples: number) => {
    runs.length = 0;
    const how = { layer: "", samples, eigenSmooth: false, seed: 0 };
    const { explain } = methods["integrated-gradients"];
    const { map, incompleteness } = await explain(probe as unknown as Probe, subject as unknown as Subject, how);
    return { sum: map.data[0]!, incompleteness: incompleteness!, runs: runs.length };
  };
  const converged = await explain(256);
  expect(Math.abs(converged.sum - 7)).toBeLessThan(0.07);
  expect(Math.abs(converged.sum - 7) / 7).toBeCloseTo(converged.incompleteness, 4);
  // 256 equally spaced points would still miss up to 1/255 · 100 / 2 = 0.2.
  expect(converged.runs).toBeLessThan(60);
  // The ends of the path and its middle: (0 + 2 · 0 + 200) / 4.
  expect(await explain(3)).toEqual({ sum: 50, incompleteness: expect.closeTo(43 / 7, 5), runs: 3 });
  expect((await explain(20)).runs).toBe(20);
});
