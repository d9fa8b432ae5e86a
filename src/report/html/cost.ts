import { type Cost, kernelText, type LayerCost, type NetworkCost, smallestExample } from "../cost.ts";
import { withCommas } from "../number-text.ts";
import type { TrainingReport } from "../training-report.ts";
import { formatRounded } from "./format.ts";
import { type Content, html } from "./markup.ts";
import { factList, type Section, table } from "./parts.ts";

/** Layers that are listed one by one: those with the most multiplications. */
const listedLayers = 12;

/** What the network's separable convolutions cost beside the ordinary ones they stand for. */
export function costSection({ cost }: TrainingReport): Section | undefined {
  if (cost === undefined) return undefined;
  const { total, ordinaryTotal } = cost;
  const totals = [
    { name: "Multiplications for an image", value: formatRounded(total.multiplications) },
    { name: "… with ordinary convolutions", value: formatRounded(ordinaryTotal.multiplications) },
    { name: "Weights in kernels", value: formatRounded(total.weights) },
    { name: "… with ordinary convolutions", value: formatRounded(ordinaryTotal.weights) },
  ];
  return {
    id: "cost",
    title: "What separable convolutions save",
    body: html`<p class="lead">${idea()}</p>
${factList(totals)}
${layerTable(cost)}`,
  };
}

function idea(): string {
  const { ordinary, depthwise, pointwise, separable } = smallestExample();
  return (
    "An ordinary convolution looks at space and at channels at once; a separable one looks at each channel by itself, " +
    `then mixes them point by point. From 3 to 64 channels with a 3×3 window that is ${withCommas(ordinary.weights)} ` +
    `weights against ${depthwise.weights} + ${pointwise.weights} = ${separable.weights}.`
  );
}

function layerTable({ name, layers, total, ordinaryTotal }: NetworkCost) {
  const ranked = layers.toSorted((a, b) => b.multiplications - a.multiplications);
  const listed = ranked.slice(0, listedLayers);
  const others = ranked.slice(listedLayers);
  const number = (header: string) => ({ header, align: "right" }) as const;
  return table(
    `The layers of ${name} with the most multiplications, for one image`,
    [
      { header: "Layer" },
      { header: "Kernel" },
      number("Weights"),
      number("Ordinary weights"),
      number("Mult. (M)"),
      number("Ordinary (M)"),
      number("Saved"),
    ],
    [
      ...listed.map((layer) => [html`<code>${layer.name}</code>`, kernelText(layer), ...costs(layer, ordinary(layer))]),
      ...(others.length > 0 ? [[`${others.length} others`, "", ...costs(sum(others), sum(others.map(ordinary)))]] : []),
    ],
    ["All", "", ...costs(total, ordinaryTotal)],
  );
}

/** What the layer would cost with an ordinary convolution: the same, if it has one already. */
function ordinary(layer: LayerCost): Cost {
  return layer.comparison?.ordinary ?? layer;
}

function costs(own: Cost, other: Cost): Content[] {
  return [
    withCommas(own.weights),
    withCommas(other.weights),
    millions(own),
    millions(other),
    own.multiplications === other.multiplications
      ? "–"
      : `${(other.multiplications / own.multiplications).toFixed(1)}×`,
  ];
}

function sum(layers: readonly Cost[]): Cost {
  return {
    weights: layers.reduce((total, { weights }) => total + weights, 0),
    multiplications: layers.reduce((total, { multiplications }) => total + multiplications, 0),
  };
}

function millions({ multiplications }: Cost): string {
  return (multiplications / 1e6).toLocaleString("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
}
