import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { capture } from "./capture.ts";

const golden = join(root, "tests/golden/imagenet-block13");
const features = join(golden, "elephant-features.json");
const photo = join(golden, "elephant-299.png");
const weights = join(root, "../shared/data/xception-imagenet-block13/model.json");
const allowed = "block14_sepconv*,dense1024/*,dense512/*,final/*";

test("real weights give every layer what Keras got from a photo", async (context) => {
  if (!existsSync(weights)) return context.skip("the weights are not there");
  const flags = ["--golden", features, "--weights", weights, "--image", photo, "--json"];
  const strict = await capture(["verify", ...flags]);
  expect(strict.exitCode).toBe(1);
  expect(strict.stderr).toContain("missing: block14_sepconv1/depthwise_kernel (there is no group27-shard1of2)");
  const { exitCode, stdout } = await capture(["verify", ...flags, "--allow-missing", allowed]);
  expect(exitCode).toBe(0);
  const { taps, network, inputShape, passed } = JSON.parse(stdout);
  expect([network, inputShape, passed]).toEqual(["xception", [299, 299, 3], true]);
  // The layers, and the global average of the last one.
  expect(taps).toHaveLength(15);
  for (const { difference } of taps) expect(difference).toBeLessThan(1e-4);
});

test.each([
  [
    ["--weights", weights],
    "option --image: with --weights, the golden values belong to one photo; received 0; expected 1.",
  ],
  [["--allow-missing", "*"], "option --allow-missing: it needs --weights; expected --weights FILE."],
  [["--image", photo], "option --image: it needs a model; expected xception verify MODEL."],
])("refuses %j", async (flags, message) => {
  const { exitCode, stderr } = await capture(["verify", "--golden", features, ...flags]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain(message);
});

test.each([
  [["--weights", weights], "option --weights: it needs --golden; expected --golden FILE."],
  [["--layout", "training"], "option --layout: it needs --golden; expected --golden FILE."],
])("refuses %j beside a model", async (flags, message) => {
  const { exitCode, stderr } = await capture(["verify", "model.onnx", ...flags]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain(message);
});
