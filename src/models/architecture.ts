import type { Network } from "../graph/network.ts";
import { alignedXception } from "./aligned-xception.ts";
import { type AlignedXceptionOptions, completeAlignedOptions } from "./aligned-xception-options.ts";
import { type LayerList, layersOf, networkOfLayers } from "./layer-list.ts";
import type { SharedOptions } from "./shared-options.ts";
import { xception } from "./xception.ts";
import { completeOptions, type XceptionOptions } from "./xception-options.ts";

/**
 * Which network it is, as plain data that a file can hold: a family of ours with its options, or any network as the list
 * of its layers.
 */
export type Architecture =
  | { readonly family: "xception"; readonly options: XceptionOptions }
  | { readonly family: "aligned-xception"; readonly options: AlignedXceptionOptions }
  | ({ readonly family: "layers" } & LayerList);

/**
 * The network of an architecture.
 * @throws {UsageError} an option has a value that is not allowed.
 * @throws {GraphError} a list of layers is no network.
 * @throws {ShapeError} the layers of a list do not fit together.
 */
export function buildNetwork(architecture: Architecture): Network {
  switch (architecture.family) {
    case "xception":
      return xception(architecture.options);
    case "aligned-xception":
      return alignedXception(architecture.options);
    case "layers":
      return networkOfLayers(architecture);
  }
}

/** The options of an architecture; a list of layers has none. */
export function optionsOf(architecture: Architecture): SharedOptions {
  return architecture.family === "layers" ? {} : architecture.options;
}

/** The same architecture with some options changed; a list of layers stays as it is. */
export function withOptions(architecture: Architecture, changed: SharedOptions): Architecture {
  if (architecture.family === "layers") return architecture;
  return { ...architecture, options: { ...architecture.options, ...changed } } as Architecture;
}

/** Any network as an architecture: the list of its layers. */
export function architectureOf(network: Network): Architecture {
  return { family: "layers", ...layersOf(network) };
}

/** The same architecture with no option left out, so that it does not change with the defaults. */
export function completeArchitecture(architecture: Architecture): Architecture {
  switch (architecture.family) {
    case "xception":
      return { family: "xception", options: completeOptions(architecture.options) };
    case "aligned-xception":
      return { family: "aligned-xception", options: completeAlignedOptions(architecture.options) };
    case "layers":
      return architecture;
  }
}
