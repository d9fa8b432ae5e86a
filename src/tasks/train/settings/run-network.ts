import { XceptionError } from "../../../errors.ts";
import { outputLayer } from "../../../graph/network.ts";
import { sameLayers } from "../../../models/layer-list.ts";
import { topIndex, topOn } from "../../../models/parts.ts";
import { type Architecture, buildNetwork } from "../../../models/registry.ts";
import type { WeightsFile } from "../../weights/weights-file.ts";
import { chosenArchitecture } from "./choices.ts";
import { networkSettings } from "./network-settings.ts";
import { resolveSettings } from "./resolve.ts";

const settingsOfNetwork = [...Object.keys(networkSettings), "imageSize"];

/** A whole network, and the layer on which the classifier of its beginning stands. */
interface NetworkOfRun {
  readonly architecture: Architecture;
  readonly headOn: string;
}

/**
 * The whole network of which a model of `xception train` is the beginning, its classifier standing on an earlier layer: as the
 * recipe in its provenance says, if that gives the model's layers.
 */
export function networkOfRun({ metadata, describedNetwork }: WeightsFile): NetworkOfRun | undefined {
  const recipe = metadata?.provenance?.recipe;
  if (typeof recipe !== "object" || recipe === null || Array.isArray(recipe) || !describedNetwork) return undefined;
  const said = new Map(Object.entries(recipe));
  const values = Object.fromEntries(settingsOfNetwork.map((name) => [name, said.get(name)]));
  try {
    const { network } = describedNetwork();
    const top = network.layers[topIndex(network) ?? -1];
    const classifier = outputLayer(network).config;
    if (top === undefined || classifier.type !== "Dense") return undefined;
    const { settings } = resolveSettings([{ source: "recipe", values, where: (name) => name }]);
    const classifierActivation = classifier.activation === "sigmoid" ? "sigmoid" : "softmax";
    const architecture = chosenArchitecture(settings, { classes: classifier.units, classifierActivation });
    const headOn = top.inbound[0]!;
    return sameLayers(network, topOn(buildNetwork(architecture), headOn)) ? { architecture, headOn } : undefined;
  } catch (cause) {
    // A recipe of somebody else's.
    if (cause instanceof XceptionError) return undefined;
    throw cause;
  }
}
