import type { Source, SourceReader } from "../../src/base/platform.ts";
import type { Network } from "../../src/graph/network.ts";
import { openStartingFile, type StartingWeights, startingWeightsIn } from "../../src/model/starting-weights.ts";

/** Weights of a file to start training from; those of `imagenet` include their classifier for 1000 classes. */
export async function startingWeights(
  network: Network,
  source: Source,
  platform: SourceReader,
  options?: Parameters<typeof startingWeightsIn>[2],
): Promise<StartingWeights> {
  const last = network.layers.findLast(({ config }) => config.type === "Dense")?.config;
  const classes = last?.type === "Dense" ? last.units : undefined;
  return startingWeightsIn(network, await openStartingFile(source, platform, { classes }), options);
}
