import { describe, expect, it } from "vitest";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import { channelBlock } from "../../src/train/step/step-program.ts";
import { blockNetwork, layouts, runSteps, stepInput, worstWeight } from "./step-fixtures.ts";

describe.each(layouts)("activations computed again, %s", (_, platform) => {
  it.each([
    ["normalized by the batch", {}],
    ["normalized by moving statistics", { batchNorm: () => "inference" }],
    ["with gradients accumulated", { batchSize: 2, accumulate: 2 }],
  ] as const)("give the same steps, %s", async (_name, options) => {
    const inputs = [stepInput, stepInput, stepInput];
    const common = { platform, optimizer: createOptimizer("sgd"), ...options };
    const kept = await runSteps(blockNetwork(), common, inputs);
    const again = await runSteps(blockNetwork(), { ...common, recompute: true }, inputs);
    // Channels first, the engine has two kernels for normalization, and they round differently: 2e-7 in a step, as measured.
    const tolerance = (await channelBlock(platform)) === undefined ? 1e-5 : 0;
    for (const [index, { loss }] of kept.results.entries()) {
      expect(Math.abs(again.results[index]!.loss - loss)).toBeLessThanOrEqual(tolerance);
    }
    expect(worstWeight(again.after, kept.after).difference).toBeLessThanOrEqual(tolerance);
  });
});
