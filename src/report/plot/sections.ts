import { type Layer, type Network, trunkOf } from "../../graph/network.ts";
import { type Shape, sameShape } from "../../tensor/shape.ts";

/** Layers that a plot shows together. */
export interface PlotBlock {
  /** The common prefix of its layers: `block5` of `block5_sepconv1`. */
  readonly title?: string;
  /** True if it has a frame of its own. */
  readonly framed: boolean;
  readonly layers: readonly Layer[];
}

/** Blocks in a column or row of the plot. */
export interface PlotSection {
  readonly title?: string;
  readonly blocks: readonly PlotBlock[];
}

/**
 * Finds the parts of a network from its wiring and names, which works for every option of Xception and finds nothing in networks
 * built differently. A *block* lies between two points that all paths go through, or has layers with the same name before the
 * first underscore. The *middle flow* is the longest run of blocks of separable convolutions that keep the shape; entry and exit
 * flow come before and after it.
 * @param longest most layers in a section, unless a single block has more; longer flows continue in another section.
 */
export function plotSections(network: Network, longest: number): readonly PlotSection[] {
  const blocks = findBlocks(network);
  const middle = findMiddleFlow(blocks);
  if (middle === undefined) return [{ blocks }];
  return [
    ...fold("Entry flow", blocks.slice(0, middle.start), longest),
    ...fold("Middle flow", blocks.slice(middle.start, middle.end), longest),
    ...fold("Exit flow", blocks.slice(middle.end), longest),
  ];
}

function findBlocks(network: Network): PlotBlock[] {
  const blocks: PlotBlock[] = [];
  for (const segment of segments(network)) {
    const title = segment.map(({ name }) => /^(block\d+)_/.exec(name)?.[1]).find((prefix) => prefix !== undefined);
    const previous = blocks.at(-1);
    const branches = segment.length > 1;
    const continues = !branches && previous !== undefined && previous.title === title;
    if (continues && (title !== undefined || !previous.framed)) {
      blocks[blocks.length - 1] = { ...previous, layers: [...previous.layers, ...segment] };
    } else {
      blocks.push({ ...(title && { title }), framed: branches || title !== undefined, layers: segment });
    }
  }
  return blocks;
}

/** Splits the layers after each one that all paths from input to output go through. */
function segments(network: Network): Layer[][] {
  const trunk = trunkOf(network);
  const result: Layer[][] = [];
  let current: Layer[] = [];
  for (const layer of network.layers) {
    current.push(layer);
    if (!trunk.has(layer.name)) continue;
    result.push(current);
    current = [];
  }
  return result;
}

function findMiddleFlow(blocks: readonly PlotBlock[]): { start: number; end: number } | undefined {
  let longest = { start: 0, end: 0 };
  let start = 0;
  for (const [index, block] of blocks.entries()) {
    const before = blocks[index - 1]?.layers.at(-1)?.outputShape;
    if (!keepsShape(block, before)) start = index + 1;
    else if (index + 1 - start > longest.end - longest.start) longest = { start, end: index + 1 };
  }
  const inTheMiddle = longest.start > 0 && longest.end > longest.start && longest.end < blocks.length;
  return inTheMiddle ? longest : undefined;
}

function keepsShape({ framed, layers }: PlotBlock, before: Shape | undefined): boolean {
  const after = layers.at(-1)!.outputShape;
  const separable = layers.some((layer) => ["SeparableConv2D", "DepthwiseConv2D"].includes(layer.config.type));
  return framed && separable && before !== undefined && sameShape(before, after);
}

/** Splits a flow into as few sections as the limit allows, about equally long, without splitting blocks. */
function fold(title: string, blocks: readonly PlotBlock[], longest: number): PlotSection[] {
  const total = countLayers(blocks);
  const length = total / Math.ceil(total / longest);
  const pieces: PlotBlock[][] = [];
  for (const block of blocks) {
    const current = pieces.at(-1);
    const longer = countLayers([...(current ?? []), block]);
    if (current && longer <= longest && longer - block.layers.length / 2 <= length) current.push(block);
    else pieces.push([block]);
  }
  return pieces.map((piece, index) => ({ title: index === 0 ? title : `${title}, continued`, blocks: piece }));
}

function countLayers(blocks: readonly PlotBlock[]): number {
  return blocks.reduce((total, block) => total + block.layers.length, 0);
}
