import { formatShape } from "../tensor/shape.ts";
import { type Cost, kernelText, type LayerCost, type NetworkCost, smallestExample } from "./cost.ts";
import { withCommas, withMetricPrefix } from "./number-text.ts";
import { textTable } from "./text-table.ts";

/**
 * A table of a network's cost for people: one row for each layer that multiplies by kernels, beside each separable
 * convolution the ordinary one it stands for, and the totals.
 * @param options.width of the table in characters, default 100; long names are wrapped.
 */
export function describeCost(cost: NetworkCost, options: { readonly width?: number } = {}): string {
  const table = textTable(
    [
      { header: "Layer" },
      { header: "Kernel", whole: true },
      { header: "Map", whole: true },
      { header: "Weights", align: "right", whole: true },
      { header: "MACs", align: "right", whole: true },
      { header: "Ordinary\nweights", align: "right", whole: true },
      { header: "Ordinary\nMACs", align: "right", whole: true },
      { header: "Ratio", align: "right", whole: true },
    ],
    cost.layers.map(row),
    options.width ?? 100,
  );
  const { total, ordinaryTotal } = cost;
  const saved = total.multiplications < ordinaryTotal.multiplications;
  return [
    `Cost of "${cost.name}" for one image`,
    table,
    ` Weights: ${withCommas(total.weights)}`,
    ` Multiplications: ${withCommas(total.multiplications)} (${withMetricPrefix(total.multiplications)})`,
    ...(saved
      ? [
          ` With ordinary convolutions: ${withCommas(ordinaryTotal.weights)} weights, ` +
            `${withMetricPrefix(ordinaryTotal.multiplications)} multiplications (${ratio(ordinaryTotal, total)} as many)`,
        ]
      : []),
    " MACs: multiplications by kernels, each with an addition; other layers are not counted.",
    ` Why: ${firstExample()}`,
  ].join("\n");
}

function firstExample(): string {
  const { ordinary, depthwise, pointwise, separable } = smallestExample();
  return (
    `from 3 channels to 64, an ordinary 3×3 has ${withCommas(ordinary.weights)} weights, ` +
    `a separable one ${depthwise.weights} + ${pointwise.weights} = ${separable.weights}.`
  );
}

function row(layer: LayerCost): string[] {
  const { kernelSize, outputShape, comparison } = layer;
  return [
    layer.name,
    kernelText(layer),
    kernelSize ? formatShape(outputShape.slice(0, -1)) : "-",
    withCommas(layer.weights),
    withMetricPrefix(layer.multiplications),
    comparison ? withCommas(comparison.ordinary.weights) : "-",
    comparison ? withMetricPrefix(comparison.ordinary.multiplications) : "-",
    comparison ? ratio(comparison.ordinary, layer) : "-",
  ];
}

/** How many times the multiplications of `less` those of `more` are. */
function ratio(more: Cost, less: Cost): string {
  return `${(more.multiplications / less.multiplications).toFixed(1)}×`;
}
