import { countParameters, type Network, networkWeights, type ParameterCount } from "../graph/network.ts";
import type { Shape } from "../tensor/shape.ts";
import { asMemory, withCommas } from "./number-text.ts";
import { textTable } from "./text-table.ts";

/** A network in the words of `model.summary()` of Keras, as plain data. */
export interface SummaryJson {
  readonly name: string;
  readonly layers: readonly {
    readonly name: string;
    /** Keras's class name, e.g. `SeparableConv2D`. */
    readonly type: string;
    /** Without the batch axis, channels last: `[height, width, channels]` or `[features]`. */
    readonly outputShape: Shape;
    readonly params: number;
    /** Names of the layers it reads. */
    readonly inbound: readonly string[];
  }[];
  readonly params: ParameterCount;
}

/** The rows of `summarize` as data. */
export function summaryJson(network: Network): SummaryJson {
  return {
    name: network.name,
    layers: network.layers.map(({ name, config, outputShape, weights, inbound }) => ({
      name,
      type: config.type,
      outputShape,
      params: countParameters(weights).total,
      inbound,
    })),
    params: countParameters(networkWeights(network)),
  };
}

/**
 * Text like that of Keras's `model.summary()`: one row for each layer, then the parameters and their size as 32-bit
 * floats.
 * @param options.width of the table in characters, default 100; long cells are wrapped.
 */
export function summarize(network: Network, options: { readonly width?: number } = {}): string {
  const { name, layers, params } = summaryJson(network);
  const rows = layers.map((layer) => [
    `${layer.name} (${layer.type})`,
    `(${["None", ...layer.outputShape].join(", ")})`,
    withCommas(layer.params),
    layer.inbound.length === 0 ? "-" : layer.inbound.join(", "),
  ]);
  const table = textTable(
    [
      { header: "Layer (type)" },
      { header: "Output Shape", whole: true },
      { header: "Param #", align: "right", whole: true },
      { header: "Connected to" },
    ],
    rows,
    options.width ?? 100,
  );
  return [
    `Model: "${name}"`,
    table,
    ` Total params: ${withBytes(params.total)}`,
    ` Trainable params: ${withBytes(params.trainable)}`,
    ` Non-trainable params: ${withBytes(params.nonTrainable)}`,
  ].join("\n");
}

/** A count of 32-bit floats and the memory they take. */
function withBytes(count: number): string {
  return `${withCommas(count)} (${asMemory(4 * count)})`;
}
