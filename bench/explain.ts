/**
 * How long does an explanation take, against a classification of the same image? All ways interleaved in one process.
 * `npx tsx bench/explain.ts [size] [rounds]`, by default 299×299 and 5 rounds, with the full network.
 */

import { syntheticWeights } from "../src/graph/synthetic.ts";
import { xception } from "../src/index.ts";
import { defaultPreprocessing } from "../src/model/model.ts";
import { nodePlatform as platform } from "../src/runtime/node/platform.ts";
import { Explainer } from "../src/tasks/explain/explainer.ts";
import { loadProbe } from "../src/tasks/explain/probe.ts";
import { mulberry32 } from "../src/tensor/random.ts";
import { interleave, median, rounded, writeResult } from "./measurement.ts";

const [size = 299, rounds = 5] = process.argv.slice(2).map(Number);
const network = xception({ inputShape: [size, size, 3] });
const labels = Array.from({ length: 1000 }, (_, index) => String(index));
const model = { network, weights: syntheticWeights(network), labels, preprocessing: defaultPreprocessing };
const random = mulberry32(1);
const data = Uint8Array.from({ length: size * size * 3 }, () => Math.floor(256 * random()));
const image = { width: size, height: size, data };

// Each its own session: an explainer keeps the part of the network that its last explanation needed.
const probe = await loadProbe(model, platform);
const explainer = async () => new Explainer(await loadProbe(model, platform));
const [last, sum, pixels] = [await explainer(), await explainer(), await explainer()];
const ways = {
  "one inference": () => probe.observe([image], []),
  "Grad-CAM of the last feature map": () => last.explain(image),
  "HiResCAM of add_10": () => sum.explain(image, { method: "hires-cam", layer: "add_10" }),
  "integrated gradients, 32 steps": () => pixels.explain(image, { method: "integrated-gradients", samples: 32 }),
};
const times = await interleave(ways, rounds, 1);
const reference = median(times["one inference"]!);
writeResult(size === 299 ? "explain" : `explain-${size}`, {
  question: "How long does an explanation take, against one inference?",
  network: `Xception ${size}×${size}`,
  rows: Object.entries(times).map(([name, each]) => ({
    way: name,
    ms: rounded(median(each), 1),
    "× one inference": rounded(median(each) / reference, 2),
  })),
});
