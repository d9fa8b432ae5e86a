import { countParameters, networkWeights, type ParameterCount } from "../../../src/graph/network.ts";
import { architectureNamed, buildNetwork, defaultName } from "../../../src/models/registry.ts";
import { describeEvaluation } from "../../../src/report/evaluation.ts";
import { withCommas } from "../../../src/report/numbers.ts";
import { artists, type DemoImages, describeImages, simplestGuess } from "./images.ts";
import { type DemoRecipe, describeSize } from "./recipe.ts";
import type { DemoResult } from "./result.ts";

/** What the terminal says first: which network learns what. */
export function introduction({ training, test }: DemoImages, { network, epochs }: DemoRecipe): string {
  const full = countParameters(networkWeights(buildNetwork(architectureNamed(defaultName))));
  const own = countParameters(
    networkWeights(buildNetwork(architectureNamed(defaultName, { ...network, classes: training.classes.length }))),
  );
  return `Xception, built from scratch: ${describeParameters(full)}.
For this demo ${describeSize(network)}: ${describeParameters(own)}.

It learns from ${withCommas(training.samples.length)} emoji as ${artists.training} draws them:
  ${describeImages(training)}.
Then it is tested on ${withCommas(test.samples.length)} emoji as ${artists.test} draws them, which it has never seen.

Training for ${epochs} ${epochs === 1 ? "epoch" : "epochs"}; Ctrl-C stops it and leaves nothing behind.
`;
}

/** What the terminal says last: how good it is. */
export function conclusion(
  { test: { evaluation }, fingerprint }: DemoResult,
  { test }: DemoImages,
  { seed }: DemoRecipe,
  width?: number,
): string {
  const { label, accuracy } = simplestGuess(test);
  return `The test on ${artists.test}'s drawings
${describeEvaluation(evaluation, width === undefined ? {} : { width })}

${percent(evaluation.top1)} of images by an artist it never saw are recognized; calling all of them ${label}: ${percent(accuracy)}.
Seed ${seed} gives this model again on this machine, bit for bit. SHA-256 of model.onnx:
${fingerprint}
`;
}

function describeParameters({ total, trainable }: ParameterCount): string {
  return `${withCommas(total)} parameters, ${withCommas(trainable)} of them trainable`;
}

function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)} %`;
}
