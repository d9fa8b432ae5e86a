import { FormatError, UsageError } from "../../errors.ts";
import type { Network } from "../../graph/network.ts";
import {
  architectureNamed,
  buildNetwork,
  defaultName,
  familyNamed,
  type NetworkOptions,
} from "../../models/registry.ts";
import { type Shape, sameShape } from "../../tensor/shape.ts";
import { type Golden, goldenName } from "./golden.ts";

type InputShape = readonly [height: number, width: number, channels: number];

const minimumInputSize = familyNamed(defaultName).options.smallest;
/** Images larger than this are not looked for. */
const largestInputSize = 4096;
/** So many sizes are tried when a file leaves them open. */
const mostCandidates = 16;

/**
 * The networks that a golden file may be about. What the options leave open is read from the file's fields, its name
 * (`xception-paper-150x150-10.json`: 150×150 images, 10 classes) and its taps. Taps alone leave more than one size of
 * the images open, since strides round: then there are several networks, and the right one gives the values.
 * @throws {FormatError} a tap names no layer of the network, or no size of images gives the taps' shapes.
 * @throws {UsageError} the file leaves too much open.
 */
export function goldenNetworks(golden: Golden, file: string, given: NetworkOptions = {}): readonly Network[] {
  const where = goldenName(file);
  const named = numbersOf(file);
  const includeTop = given.includeTop ?? golden.include_top ?? hasTop(golden);
  const options: NetworkOptions = {
    ...given,
    includeTop,
    ...(includeTop
      ? { classes: given.classes ?? golden.classes ?? classesOf(golden) ?? named.classes ?? 1000 }
      : { pooling: given.pooling ?? golden.pooling ?? poolingOf(golden) }),
  };
  const sized = (inputShape: InputShape): Network =>
    buildNetwork(architectureNamed(defaultName, { ...options, inputShape }));

  const said = given.inputShape ?? golden.input_shape;
  if (said) return [checkTaps(sized(said), golden, where)];
  if (named.inputShape && Math.min(...named.inputShape.slice(0, 2)) >= minimumInputSize) {
    const network = sized(named.inputShape);
    if (misfit(network, golden) === undefined) return [network];
  }
  return fittingShapes(golden, where, sized).map((shape) => checkTaps(sized(shape), golden, where));
}

/** The network. @throws {FormatError} a tap names no layer, or has another shape than the layer's output. */
export function checkTaps(network: Network, golden: Golden, where: string): Network {
  checkNames(network, golden, where);
  const layer = misfit(network, golden);
  if (layer === undefined) return network;
  throw new FormatError({
    where: `${where}, tap "${layer}"`,
    what: "the layer's output has another shape",
    received: golden.taps[layer]!.shape.slice(1),
    expected: `[${outputShape(network, layer)!.join(", ")}]`,
    remedy: "Is it of another input shape?",
  });
}

function checkNames(network: Network, { taps }: Golden, where: string): void {
  for (const layer of Object.keys(taps)) {
    if (outputShape(network, layer)) continue;
    throw new FormatError({
      where: `${where}, tap "${layer}"`,
      what: `network "${network.name}" has no layer of this name`,
      remedy: "Is it of another variant, or without its top?",
    });
  }
}

/** The first tap that does not belong to the network. */
function misfit(network: Network, { taps }: Golden): string | undefined {
  return Object.keys(taps).find((layer) => {
    const shape = outputShape(network, layer);
    return shape === undefined || !sameShape(shape, taps[layer]!.shape.slice(1));
  });
}

function outputShape(network: Network, name: string): Shape | undefined {
  return network.layers.find((layer) => layer.name === name)?.outputShape;
}

/**
 * All sizes of images that give the taps' shapes: a map's height grows with the image's, and its width likewise.
 */
function fittingShapes(golden: Golden, where: string, sized: (shape: InputShape) => Network): InputShape[] {
  checkNames(sized([minimumInputSize, minimumInputSize, 3]), golden, where);
  const maps = Object.entries(golden.taps).filter(([, { shape }]) => shape.length === 4);
  const sidesAlong = (axis: 0 | 1): number[] => {
    const excess = (side: number): number[] => {
      const network = sized([side, side, 3]);
      return maps.map(([layer, { shape }]) => outputShape(network, layer)![axis]! - shape[axis + 1]!);
    };
    const first = firstSide((side) => Math.min(...excess(side)) >= 0);
    const beyond = firstSide((side) => Math.max(...excess(side)) > 0);
    return Array.from({ length: Math.max(beyond - first, 0) }, (_, index) => first + index);
  };
  const [heights, widths] = [sidesAlong(0), sidesAlong(1)];
  const count = heights.length * widths.length;
  if (count > mostCandidates) {
    throw new UsageError({
      where,
      what: "neither its fields nor its name say how large the images are, and its taps leave too much open",
      received: `taps of ${range(heights)}×${range(widths)} images`,
      remedy: "Give the input shape.",
    });
  }
  if (count === 0) {
    throw new FormatError({
      where,
      what: "no size of images gives the shapes of its taps",
      expected: `taps of images from ${minimumInputSize}×${minimumInputSize} on`,
      remedy: "Is it of another variant?",
    });
  }
  return heights.flatMap((height) => widths.map((width): InputShape => [height, width, 3]));
}

/** The first side for which a growing condition holds, by halving. */
function firstSide(holds: (side: number) => boolean): number {
  let [below, found] = [minimumInputSize - 1, largestInputSize + 1];
  while (found - below > 1) {
    const middle = Math.floor((below + found) / 2);
    if (holds(middle)) found = middle;
    else below = middle;
  }
  return found;
}

function range(sides: readonly number[]): string {
  return `${sides[0]}…${sides.at(-1)}`;
}

/** `xception-paper-96x133-10.json` → images of 96×133, 10 classes. */
function numbersOf(fileName: string): { inputShape?: InputShape; classes?: number } {
  const words = fileName.replace(/.*[\\/]/, "").split(/[-_.]/);
  const first = words.findIndex((word) => /^\d+([x×]\d+){0,2}$/.test(word));
  if (first < 0) return {};
  const [height, width = height, channels = 3] = words[first]!.split(/[x×]/).map(Number) as [number, number?, number?];
  const classes = Number(words[first + 1]);
  return { inputShape: [height, width!, channels!], ...(Number.isInteger(classes) && classes > 0 && { classes }) };
}

/** A row of all probabilities has one for each class; the last weight is the classifier's. */
function classesOf({ probabilities, weights }: Golden): number | undefined {
  return probabilities?.at(0)?.length ?? weights?.at(-1)?.[2].at(-1);
}

function hasTop({ taps, probabilities, probabilities_first_20, top5 }: Golden): boolean {
  if (probabilities ?? probabilities_first_20 ?? top5) return true;
  return ["avg_pool", "predictions", "dense"].some((layer) => layer in taps);
}

function poolingOf({ taps }: Golden): "avg" | "max" | "none" {
  if ("global_average_pooling2d" in taps) return "avg";
  return "global_max_pooling2d" in taps ? "max" : "none";
}
