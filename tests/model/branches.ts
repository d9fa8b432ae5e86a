import { add, conv2d, dense, globalAveragePooling2d, input, type LayerOutput } from "../../src/graph/builder.ts";
import { type Network, network } from "../../src/graph/network.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { defaultPreprocessing } from "../../src/model/model.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { architectureOf } from "../../src/models/registry.ts";

/** Blocks of parallel convolutions, all of which the next block reads. */
export function branches(depth: number, width: number): Network {
  let from: LayerOutput = input([8, 8, 3]);
  for (let block = 0; block < depth; block++) {
    const options = { filters: 3, kernelSize: [1, 1], padding: "same" } as const;
    const outputs = Array.from({ length: width }, (_, at) =>
      conv2d(from, { ...options, name: `branch_${block}_${at}` }),
    );
    from = add(outputs as [LayerOutput, ...LayerOutput[]]);
  }
  return network("branches", dense(globalAveragePooling2d(from), { units: 2, activation: "softmax" }));
}

/** The bytes of a model file with {@link branches}; 60 times 30 are laid out for minutes. */
export function branchesModel(depth: number, width: number): Uint8Array {
  const many = branches(depth, width);
  const parts = { architecture: architectureOf(many), weights: syntheticWeights(many), labels: ["a", "b"] };
  return encodeModel({ ...parts, preprocessing: defaultPreprocessing });
}
