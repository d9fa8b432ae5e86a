import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { networkWeights } from "../../src/graph/network.ts";
import { inceptionV3 } from "../../src/models/inception/v3.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { parseTrainingGolden } from "../../src/tasks/verify/golden.ts";
import { verifyTraining } from "../../src/tasks/verify/training.ts";

test("four steps of Inception V3 without kinks are PyTorch's in float64, to the last digits", async () => {
  const file = "tests/golden/train-inception-sgd-elu-float64.json";
  const golden = parseTrainingGolden(readFileSync(file, "utf8"), file);
  const { differences, passed, network } = await verifyTraining(golden, file, nodePlatform);
  expect({ network, passed }).toEqual({ network: "inception_v3", passed: true });
  const names = networkWeights(inceptionV3()).map(({ name }) => name);
  expect(differences.map(({ what }) => what).toSorted()).toEqual(
    [
      ...golden.losses.map((_, index) => `loss of step ${index + 1}`),
      ...names.flatMap((name) => [`norm of ${name}`, `change of ${name}`]),
    ].toSorted(),
  );
  // As for Xception without kinks (keras-training.test.ts), but for the losses, in absolute terms: 8e-7 in channel blocks, 2e-7 without.
  const tooFar = differences.filter(({ what, difference }) => {
    if (what.startsWith("loss")) return !(difference * golden.losses[Number(what.at(-1)) - 1]! <= 2e-6);
    return !(difference <= (what.startsWith("norm") ? 1e-6 : 3e-4));
  });
  expect(tooFar).toEqual([]);
});
