import { networkCost } from "../../../src/graph/cost.ts";
import { countParameters, type Layer, type Network } from "../../../src/graph/network.ts";
import { withCommas, withMetricPrefix } from "../../../src/report/numbers.ts";
import { formatShape } from "../../../src/tensor/shape.ts";
import { h } from "../dom.ts";
import { layerSentences, texts } from "../texts.ts";

const words = texts.inside;

/** What a layer is: its sentence, shape, parameters and work, a separable convolution beside an ordinary one. */
export function describeLayerOf(network: Network, layer: Layer): HTMLElement {
  const shapes = new Map(network.layers.map(({ name, outputShape }) => [name, formatShape(outputShape)]));
  const { total, nonTrainable } = countParameters(layer.weights);
  const cost = networkCost(network).layers.find(({ name }) => name === layer.name);
  const inputs = layer.inbound.map((name) => shapes.get(name)).join(" + ");
  const fact = (name: string, value: string, note = "") =>
    h("div", {}, h("dt", {}, name), h("dd", {}, value, note !== "" && h("small", {}, note)));
  return h(
    "div",
    { class: "layer" },
    h("p", { class: "kind" }, layer.config.type),
    h("h2", {}, layer.name),
    h("p", {}, layerSentences[layer.config.type]),
    h(
      "dl",
      { class: "facts" },
      fact(words.shapeTitle, words.shape(inputs, formatShape(layer.outputShape))),
      fact(words.parameters, withCommas(total), nonTrainable > 0 ? words.ofThemFrozen(withCommas(nonTrainable)) : ""),
      fact(words.macs, cost ? withMetricPrefix(cost.multiplications) : words.macsNone),
    ),
    cost?.comparison && comparisonOf(cost.comparison),
  );
}

/** Two bars to scale. */
function comparisonOf({ ordinary, separable, depthwise, pointwise }: NonNullable<Comparison>): HTMLElement {
  const bar = (className: string, weights: number) => {
    const filled = h("span", { class: className });
    filled.style.width = `${Math.max(0.4, (100 * weights) / ordinary.weights)}%`;
    return filled;
  };
  const sum = `${withCommas(depthwise.weights)} + ${withCommas(pointwise.weights)} = ${withCommas(separable.weights)}`;
  const ratio = (ordinary.weights / separable.weights).toFixed(1);
  return h(
    "div",
    { class: "comparison" },
    h("h3", {}, words.against),
    h(
      "div",
      { class: "stack", ariaHidden: "true" },
      bar("depthwise", depthwise.weights),
      bar("pointwise", pointwise.weights),
    ),
    h("div", { class: "stack", ariaHidden: "true" }, bar("ordinary", ordinary.weights)),
    h("p", { class: "muted" }, words.againstText(sum, withCommas(ordinary.weights), ratio)),
  );
}

type Comparison = ReturnType<typeof networkCost>["layers"][number]["comparison"];
