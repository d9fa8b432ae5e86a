import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { loadClassifier } from "../../src/tasks/evaluate/classifier.ts";

const formats = join(root, "tests/golden/formats");
/** What Keras's own models answer, before any softmax. */
const golden: { readonly pipeline: readonly number[]; readonly "pipeline-nested": readonly [number] } = JSON.parse(
  readFileSync(join(formats, "pipelines.json"), "utf8"),
);
const image = { width: 18, height: 20, data: Uint8Array.from({ length: 20 * 18 * 3 }, (_, i) => (i * 7919) % 256) };
const scaled = /^Its rescaling of pixels, pixel · 0\.0078\d+ \+ -1, is part of the preprocessing here, not a layer\.$/;

async function answer(file: string) {
  await using classifier = await loadClassifier(join(formats, file), { platform });
  const predictions = await classifier.classify(image);
  const probabilities = predictions.toSorted((a, b) => a.index - b.index).map(({ probability }) => probability);
  return { probabilities, notes: classifier.notes };
}

it.each(["pipeline.keras", "pipeline.h5"])(
  "%s: augmentation, preprocess_input and logits among the layers",
  async (file) => {
    const { probabilities, notes } = await answer(file);
    const exponentials = golden.pipeline.map(Math.exp);
    const sum = exponentials.reduce((a, b) => a + b);
    expect(probabilities).toHaveLength(3);
    for (const [index, each] of exponentials.entries()) expect(probabilities[index]).toBeCloseTo(each / sum, 5);
    expect(notes).toEqual([
      expect.stringMatching(scaled),
      'It ends in logits, "logits"; a softmax was added.',
      "It does not name its classes; they are numbered.",
    ]);
  },
);

it.each(["pipeline-nested.keras", "pipeline-nested.h5"])("%s: models in a model, and one number", async (file) => {
  const { probabilities, notes } = await answer(file);
  const [logit] = golden["pipeline-nested"];
  expect(probabilities).toHaveLength(1);
  expect(probabilities[0]).toBeCloseTo(1 / (1 + Math.exp(-logit)), 5);
  expect(notes).toContain('It ends in logits, "logit"; a sigmoid was added.');
});
