import { kerasPreprocessing } from "../../src/graph/preprocessing.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import type { Model } from "../../src/model/model.ts";
import type { XceptionOptions } from "../../src/models/xception/options.ts";
import { xception } from "../../src/models/xception/paper.ts";

/** The smallest network there is, with weights that give each image another answer. */
export function smallModel(more: XceptionOptions = {}): Model {
  const options: XceptionOptions = { inputShape: [71, 80, 3], classes: 3, width: 0.05, middleFlowRepeats: 1, ...more };
  const network = xception(options);
  return {
    architecture: { family: "xception", options },
    network,
    weights: syntheticWeights(network),
    labels: ["cat", "dog", "owl"],
    preprocessing: { ...kerasPreprocessing, fit: "fill", background: [255, 255, 255] },
    license: "CC0-1.0",
    provenance: { data: "made up", epochs: 3 },
  };
}
