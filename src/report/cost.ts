import {
  type Cost,
  compareConvolutions,
  type LayerCost,
  type NetworkCost,
  networkCost,
  ordinaryCost,
  sumCosts,
} from "../graph/cost.ts";
import { countParameters, type Network, networkWeights } from "../graph/network.ts";
import { formatShape, sizeOf } from "../tensor/shape.ts";
import { axisOf, color, renderChart } from "./charts/chart.ts";
import { chart, type Fact, numberColumn, paragraph, type Section, section, type Table, table } from "./document.ts";
import { asMemory, withCommas, withMetricPrefix } from "./numbers.ts";
import { toText } from "./text.ts";

/** Size and cost of a network for one image. */
export interface NetworkSizes {
  readonly parameters: number;
  /** Multiply-accumulates (MACs) of convolutions and fully connected layers; each is two FLOPs. */
  readonly multiplications: number;
  /** Numbers in the outputs of these layers, both steps of separable convolutions included. */
  readonly activations: number;
  /** Estimated memory of a training step for each image of a batch, in bytes. */
  readonly trainingBytes: number;
}

/** Memory of training for each number in the outputs of all layers: measured for Xception at 299×299. */
const bytesPerOutput = 1.1 * Float32Array.BYTES_PER_ELEMENT;

/** Size and cost of a network at its own image size. */
export function networkSizes(network: Network): NetworkSizes {
  const { layers, total } = networkCost(network);
  const outputs = network.layers.reduce((sum, { outputShape }) => sum + sizeOf(outputShape), 0);
  return {
    parameters: countParameters(networkWeights(network)).total,
    multiplications: total.multiplications,
    activations: layers.reduce((sum, layer) => sum + activationsOf(layer), 0),
    trainingBytes: Math.round(bytesPerOutput * outputs),
  };
}

/** A separable convolution is two convolutions, as in fvcore and timm. */
function activationsOf({ comparison, outputShape, inputChannels }: LayerCost): number {
  const output = sizeOf(outputShape);
  return comparison ? output + (output / outputShape.at(-1)!) * inputChannels : output;
}

/** Sizes of several networks side by side. */
export function sizesTable(networks: readonly (NetworkSizes & { readonly name: string })[]): Table {
  return table(
    "Size and cost for one image. A MAC is a multiply-accumulate, two FLOPs; both are of convolutions and fully connected " +
      "layers, and activations the numbers in their outputs. Memory is an estimate for training",
    [{ header: "Network", whole: true }, ...["Parameters", "MACs", "FLOPs", "Activations", "Memory"].map(numberColumn)],
    networks.map(({ name, parameters, multiplications, activations, trainingBytes }) => [
      { text: name, style: "code" },
      withCommas(parameters),
      withMetricPrefix(multiplications),
      withMetricPrefix(2 * multiplications),
      withMetricPrefix(activations),
      asMemory(trainingBytes),
    ]),
  );
}

/** The example of the introduction: a 3×3 window from an RGB image to 64 channels. */
const example = { kernelSize: [3, 3], inputChannels: 3, filters: 64, outputSize: [1, 1] } as const;

/** Most layers in the chart. */
const mostBars = 12;

/** `3×3×728→728`: the window, input and output channels. */
function kernelText({ kernelSize, inputChannels, outputShape }: LayerCost): string {
  const channels = `${inputChannels}→${outputShape.at(-1)}`;
  return kernelSize ? `${formatShape(kernelSize)}×${channels}` : channels;
}

/**
 * Describes the cost of a network in plain text: one row for each layer with kernels, each separable convolution beside
 * the ordinary one it replaces, and the totals.
 * @param options.width of the text in characters, default 100; long names are wrapped.
 */
export function describeCost(cost: NetworkCost, options: { readonly width?: number } = {}): string {
  return toText({ title: `Cost of "${cost.name}" for one image`, sections: [costSection(cost)] }, options);
}

/**
 * The cost of a network's layers, separable convolutions beside the ordinary ones they replace.
 * @param most number of layers to list, those with the most multiplications; default all, in the order of the network.
 */
export function costSection({ name, layers, total, ordinaryTotal }: NetworkCost, most = layers.length): Section {
  const { ordinary, depthwise, pointwise, separable } = compareConvolutions(example);
  const ranked = layers.length <= most ? layers : layers.toSorted((a, b) => b.multiplications - a.multiplications);
  const others = ranked.slice(most);
  const compared = ranked.slice(0, mostBars).filter(({ comparison }) => comparison !== undefined);
  return section(
    "cost",
    "Savings from separable convolutions",
    paragraph(
      "An ordinary convolution filters space and channels at once; a separable one filters each channel by itself, " +
        `then mixes the channels. From 3 to 64 channels with a 3×3 kernel that is ${withCommas(ordinary.weights)} ` +
        `weights against ${depthwise.weights} + ${pointwise.weights} = ${separable.weights}.`,
      "lead",
    ),
    { type: "facts", facts: [...costFacts("", total), ...costFacts(" with ordinary convolutions", ordinaryTotal)] },
    compared.length === 0
      ? undefined
      : chart("MACs of separable convolutions, and of the ordinary ones they replace.", () => costChart(compared)),
    table(
      `Layers of ${name} with kernels${others.length > 0 ? ", those with the most MACs first" : ""}; others are not counted`,
      [
        "Layer",
        { header: "Kernel", whole: true },
        { header: "Feature\nmap", whole: true },
        ...["Weights", "MACs", "Ordinary\nweights", "Ordinary\nMACs", "Ratio"].map(numberColumn),
      ],
      [
        ...ranked
          .slice(0, most)
          .map((layer) => [
            { text: layer.name, style: "code" } as const,
            kernelText(layer),
            layer.kernelSize ? formatShape(layer.outputShape.slice(0, -1)) : "–",
            ...costCells(layer, ordinaryCost(layer)),
          ]),
        ...(others.length > 0
          ? [[`${others.length} others`, "", "", ...costCells(sumCosts(others), sumCosts(others.map(ordinaryCost)))]]
          : []),
      ],
      { total: ["Total", "", "", ...costCells(total, ordinaryTotal)] },
    ),
  );
}

function costFacts(suffix: string, { weights, multiplications }: Cost): Fact[] {
  const withPrefix = (count: number) => `${withCommas(count)} (${withMetricPrefix(count)})`;
  return [
    { name: `Weights in kernels${suffix}`, value: withCommas(weights) },
    { name: `Multiply-accumulates (MACs)${suffix}`, value: withPrefix(multiplications) },
    { name: `Floating-point operations (FLOPs)${suffix}`, value: withPrefix(2 * multiplications) },
  ];
}

function costCells(own: Cost, ordinary: Cost): string[] {
  const cells = (cost: Cost) => [withCommas(cost.weights), withMetricPrefix(cost.multiplications)];
  if (own.multiplications === ordinary.multiplications) return [...cells(own), "–", "–", "–"];
  return [...cells(own), ...cells(ordinary), `${(ordinary.multiplications / own.multiplications).toFixed(1)}×`];
}

/** MACs of each layer with a separable and with an ordinary convolution, as SVG. */
function costChart(layers: readonly LayerCost[]): Promise<string> {
  const kinds = ["separable", "ordinary"] as const;
  const values = layers.flatMap((cost) => [
    { layer: cost.name, kind: "separable", macs: cost.multiplications },
    { layer: cost.name, kind: "ordinary", macs: ordinaryCost(cost).multiplications },
  ]);
  return renderChart("multiply-accumulates of separable against ordinary convolutions", {
    width: 520,
    height: { step: 12 },
    data: { values },
    mark: { type: "bar", cornerRadiusEnd: 2 },
    encoding: {
      x: { ...axisOf("macs", "MACs for one image", "~s"), stack: null },
      y: { field: "layer", type: "nominal", sort: null, title: null, axis: { domain: false, labelLimit: 240 } },
      yOffset: { field: "kind", sort: [...kinds] },
      color: {
        field: "kind",
        type: "nominal",
        scale: { domain: [...kinds], range: [color("accent"), color("second")] },
        legend: { symbolType: "square" },
      },
    },
  });
}
