import type { ImageDataset } from "../../data/dataset.ts";
import type { Architecture } from "../../models/registry.ts";
import { openStartingFile, startingWeightsIn } from "../weights/starting-weights.ts";
import type { TrainOptions } from "./options.ts";
import { networkFor, type OptionsWithWeights } from "./plan.ts";
import { networkOfRun } from "./settings/run-network.ts";

/**
 * Options of a training with the weights of the file that they name, its network where they name none, and the way in which
 * it wants images.
 * @throws as `startingWeights`.
 */
export async function withStartingWeights(dataset: ImageDataset, options: TrainOptions): Promise<OptionsWithWeights> {
  const { weights: source, network: given, platform, ...others } = options;
  if (typeof source !== "string") {
    return { ...others, platform, ...(source && { weights: source }), ...(given && { network: given }) };
  }
  const opened = await openStartingFile(source, platform, { classes: dataset.classes.length });
  const run = given === undefined && opened.architecture === undefined ? networkOfRun(opened.file) : undefined;
  const described = withoutTask(opened.architecture ?? run?.architecture);
  const network = networkFor(given ?? described ?? {}, dataset, options.seed ?? 0);
  const start = startingWeightsIn(network, opened, { headOn: run?.headOn });
  const preprocessing = options.preprocessing ?? start.preprocessing;
  return {
    ...others,
    platform,
    network: start.network,
    weights: start.weights,
    ...(preprocessing && { preprocessing }),
  };
}

/** What the images and the caller decide is left open. */
function withoutTask(architecture: Architecture | undefined): Architecture | undefined {
  if (architecture === undefined || architecture.family === "layers") return architecture;
  const { classes: _, classifierActivation: __, seed: ___, ...options } = architecture.options;
  return { ...architecture, options: { ...options, includeTop: true, pooling: "none" } } as Architecture;
}
