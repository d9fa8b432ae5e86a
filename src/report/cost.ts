import { countParameters, type Layer, type Network, networkWeights } from "../graph/network.ts";
import { formatShape, type Shape, sizeOf } from "../tensor/shape.ts";
import { axisOf, color, renderChart } from "./charts/chart.ts";
import { chart, type Fact, numberColumn, paragraph, type Section, type Table, table } from "./document.ts";
import { asMemory, withCommas, withMetricPrefix } from "./numbers.ts";
import { toText } from "./text.ts";

/** Cost of a convolution or a fully connected layer for one image. */
export interface Cost {
  /** Weights in its kernels, biases not counted. */
  readonly weights: number;
  /** Multiply-accumulates (MACs). */
  readonly multiplications: number;
}

/** A separable convolution and the ordinary one that it replaces. */
export interface ConvolutionComparison {
  readonly depthwise: Cost;
  readonly pointwise: Cost;
  /** Both steps. */
  readonly separable: Cost;
  /** One kernel over all channels at once, with the same window and filters. */
  readonly ordinary: Cost;
}

export interface LayerCost extends Cost {
  readonly name: string;
  readonly type: "Conv2D" | "SeparableConv2D" | "DepthwiseConv2D" | "Dense";
  /** Kernel size, `[height, width]`; a fully connected layer has none. */
  readonly kernelSize?: Shape;
  readonly inputChannels: number;
  readonly outputShape: Shape;
  /** Separable convolutions only. */
  readonly comparison?: ConvolutionComparison;
}

/** Cost of a network's convolutions and fully connected layers at its own image size. */
export interface NetworkCost {
  readonly name: string;
  /** Layers that multiply by kernels, in the order of the network. */
  readonly layers: readonly LayerCost[];
  readonly total: Cost;
  /** The same network with an ordinary convolution in place of each separable one. */
  readonly ordinaryTotal: Cost;
}

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

/**
 * Counts weights and multiplications layer by layer. Batch normalization, activations, pooling and additions are not counted: they
 * cost little, and for inference normalization is folded into the convolutions.
 */
export function networkCost(network: Network): NetworkCost {
  const layers = network.layers.flatMap((layer) => layerCost(layer) ?? []);
  return {
    name: network.name,
    layers,
    total: sumCosts(layers),
    ordinaryTotal: sumCosts(layers.map(ordinaryCost)),
  };
}

/**
 * Compares the two kinds of convolution without a network.
 * @example
 * const { ordinary, separable } = compareConvolutions({
 *   kernelSize: [3, 3], inputChannels: 3, filters: 64, outputSize: [147, 147],
 * });
 * ordinary.weights; // 1728
 * separable.weights; // 27 + 192 = 219
 */
export function compareConvolutions(convolution: {
  readonly kernelSize: readonly [height: number, width: number];
  readonly inputChannels: number;
  readonly filters: number;
  /** Size of its output feature maps, `[height, width]`. */
  readonly outputSize: readonly [height: number, width: number];
}): ConvolutionComparison {
  const { inputChannels, filters, outputSize } = convolution;
  const window = sizeOf(convolution.kernelSize);
  const positions = sizeOf(outputSize);
  const depthwise = kernelCost(window * inputChannels, positions);
  const pointwise = kernelCost(inputChannels * filters, positions);
  return {
    depthwise,
    pointwise,
    separable: sumCosts([depthwise, pointwise]),
    ordinary: kernelCost(window * inputChannels * filters, positions),
  };
}

function layerCost({ name, config, outputShape, weights }: Layer): LayerCost | undefined {
  const kernel = weights[0]?.shape ?? [];
  const [height = 1, width = 1] = outputShape.slice(0, -1);
  const inputChannels = kernel.at(-2)!;
  switch (config.type) {
    case "Conv2D":
    case "DepthwiseConv2D": {
      const { type, kernelSize } = config;
      return { name, type, kernelSize, inputChannels, outputShape, ...kernelCost(sizeOf(kernel), height * width) };
    }
    case "SeparableConv2D": {
      const { type, kernelSize, filters } = config;
      const comparison = compareConvolutions({ kernelSize, inputChannels, filters, outputSize: [height, width] });
      return { name, type, kernelSize, inputChannels, outputShape, ...comparison.separable, comparison };
    }
    case "Dense":
      return { name, type: config.type, inputChannels, outputShape, ...kernelCost(sizeOf(kernel), 1) };
    default:
      return undefined;
  }
}

/** Each number of a kernel is multiplied once at each position of the output. */
function kernelCost(weights: number, positions: number): Cost {
  return { weights, multiplications: weights * positions };
}

function sumCosts(costs: readonly Cost[]): Cost {
  const total = (key: keyof Cost) => costs.reduce((sum, cost) => sum + cost[key], 0);
  return { weights: total("weights"), multiplications: total("multiplications") };
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
  return {
    id: "cost",
    title: "Savings from separable convolutions",
    blocks: [
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
    ],
  };
}

function costFacts(suffix: string, { weights, multiplications }: Cost): Fact[] {
  const withPrefix = (count: number) => `${withCommas(count)} (${withMetricPrefix(count)})`;
  return [
    { name: `Weights in kernels${suffix}`, value: withCommas(weights) },
    { name: `Multiply-accumulates (MACs)${suffix}`, value: withPrefix(multiplications) },
    { name: `Floating-point operations (FLOPs)${suffix}`, value: withPrefix(2 * multiplications) },
  ];
}

/** The cost of the layer with an ordinary convolution in place of a separable one. */
function ordinaryCost(layer: LayerCost): Cost {
  return layer.comparison?.ordinary ?? layer;
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
