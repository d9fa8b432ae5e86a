import type { Shape } from "../../tensor/shape.ts";
import { type Attributes, type Domain, domains, type OnnxEmitter } from "./emitter.ts";

/**
 * Converts kernels and vectors to the blocked layout inside the graph, since a training step changes them. The engine's
 * operator for images, `[1, C, P, 1] → [C/b, P, b]` (or from `[1, P, 1, C]` with `channels_last`), reads a kernel as an
 * "image" whose channels are its filters.
 */
export class BlockedKernels {
  readonly #emit: OnnxEmitter;
  readonly #block: number;
  /** Vectors with zeros at the end, by the name of the vector without them. */
  readonly #lanes = new Map<string, string>();
  readonly #computed = new Map<string, string>();

  constructor(emit: OnnxEmitter, block: number) {
    this.#emit = emit;
    this.#block = block;
  }

  /** `[C] → [C']`, zeros at the end. */
  vector(name: string, channels: number): string {
    const missing = this.#padded(channels) - channels;
    if (missing === 0) return name;
    const known = this.#lanes.get(name);
    return known ?? this.#compute(`${name}~lanes`, "Pad", [name, this.#emit.integers([0, missing])]);
  }

  /** `[C'] → [C]`, written to `output`. */
  vectorBack(lanes: string, shape: Shape, output: string): void {
    if (this.#padded(shape[0]!) === shape[0]) {
      this.#emit.node("Identity", [lanes], [output]);
      return;
    }
    this.#emit.node("Slice", [lanes, ...this.#emit.bounds([0], shape, [0])], [output]);
    this.#lanes.set(output, lanes);
  }

  /**
   * `[C, 1, kh, kw]` → `[C/b][copies][kh][kw][b]`: one copy for each image where the images of a batch are laid out as
   * channels. `flipped` reverses rows and columns.
   */
  depthwise(
    name: string,
    channels: number,
    size: readonly [number, number],
    copies: number,
    order?: "flipped",
  ): string {
    const positions = size[0] * size[1];
    const blocksOfChannels = this.#padded(channels) / this.#block;
    const image = this.#view(name, [1, channels, positions, 1]);
    let kernel = this.#toBlocks(name, image);
    if (order === "flipped") {
      kernel = this.#reverse(this.#view(kernel, [blocksOfChannels, positions, this.#block]), positions, 1);
    }
    if (copies > 1) {
      const view = this.#view(kernel, [blocksOfChannels, 1, positions * this.#block]);
      const shape = this.#emit.integers([blocksOfChannels, copies, positions * this.#block]);
      kernel = this.#compute(`${name}~copies`, "Expand", [view, shape]);
    }
    return this.#view(kernel, [this.#padded(channels) * copies, 1, ...size]);
  }

  /** The inverse of `depthwise`, summed over the copies: `[C/b][copies][kh][kw][b] → [C, 1, kh, kw]`. */
  depthwiseBack(products: string, copies: number, shape: Shape, output: string, order?: "flipped"): void {
    const [channels, , height, width] = shape as [number, number, number, number];
    const lanes = this.#padded(channels);
    const positions = height * width;
    const view = this.#view(products, [lanes / this.#block, copies, positions * this.#block]);
    let sum = this.#compute(`${output}/sum`, "ReduceSum", [view, this.#emit.integers([1])]);
    if (order === "flipped") {
      sum = this.#reverse(this.#view(sum, [lanes / this.#block, positions, this.#block]), positions, 1);
    }
    const image = this.#view(sum, [1, lanes, height, width]);
    const crop = { channels: { i: channels } };
    const planes = this.#compute(`${output}/planes`, "ReorderOutput", [image], crop, domains.blocked);
    this.#emit.node("Reshape", [planes, this.#emit.integers(shape)], [output]);
  }

  /**
   * `[K, C, kh, kw]` → `[K/b][C/b][kh][kw][b of C][b of K]`, or with fewer channels than a block
   * `[K/b][C][kh][kw][b of K]`.
   */
  dense(name: string, filters: number, channels: number, size: readonly [number, number]): string {
    const positions = size[0] * size[1];
    const isFew = channels < this.#block;
    const lanes = isFew ? channels : this.#padded(channels);
    if (!isFew && positions === 1) {
      const image = this.#view(this.#matrix(name, filters, channels), [1, this.#padded(filters), lanes, 1]);
      return this.#view(this.#toBlocks(name, image), [this.#padded(filters), lanes, 1, 1]);
    }
    let source = name;
    if (!isFew) {
      const view = this.#view(name, [filters, channels, positions]);
      source = this.#innermostBlocks(this.#pad(view, [0, lanes - channels, 0]), filters, lanes, positions);
    }
    const image = this.#view(source, [1, filters, lanes * positions, 1]);
    return this.#view(this.#toBlocks(name, image), [this.#padded(filters), lanes, ...size]);
  }

  /**
   * The kernel of the backward pass: filters and channels are exchanged, rows and columns reversed.
   * @param factors of each filter, `[K']`; only for kernels of one pixel.
   */
  denseTransposed(
    name: string,
    filters: number,
    channels: number,
    size: readonly [number, number],
    factors?: string,
  ): string {
    const positions = size[0] * size[1];
    if (positions === 1) {
      const rows = this.scaleRows(this.#matrix(name, filters, channels), this.#padded(filters), factors);
      const image = this.#view(rows, [1, this.#padded(filters), 1, this.#padded(channels)]);
      const blocks = this.#toBlocks(name, image, "channelsLast");
      return this.#view(blocks, [this.#padded(channels), this.#padded(filters), 1, 1]);
    }
    const view = this.#view(name, [filters, channels, positions]);
    const swapped = this.#compute(`${name}~swapped`, "Transpose", [view], { perm: { ints: [1, 0, 2] } });
    return this.dense(this.#reverse(swapped, positions, 2), channels, filters, size);
  }

  /** A matrix `[K, C]` with row k multiplied by factor k of `[K']`, if there are factors. */
  scaleRows(matrix: string, rows: number, factors: string | undefined): string {
    if (factors === undefined) return matrix;
    const column = this.#view(factors, [this.#padded(rows), 1]);
    const bounds = [0, rows].map((each) => this.#emit.integers([each]));
    const kept = rows === this.#padded(rows) ? column : this.#compute(`${factors}~rows`, "Slice", [column, ...bounds]);
    return this.#compute(`${matrix}~scaled`, "Mul", [matrix, kept]);
  }

  /** A kernel of one pixel as `[K', C']`, zeros at the end. */
  #matrix(name: string, filters: number, channels: number): string {
    const view = this.#view(name, [filters, channels]);
    return this.#pad(view, [this.#padded(filters) - filters, this.#padded(channels) - channels]);
  }

  /** `[K, C', P]` → `[K, C'/b, P, b]`. */
  #innermostBlocks(name: string, filters: number, lanes: number, positions: number): string {
    const view = this.#view(name, [filters, lanes / this.#block, this.#block, positions]);
    return this.#compute(`${name}~inner`, "Transpose", [view], { perm: { ints: [0, 1, 3, 2] } });
  }

  #reverse(name: string, positions: number, axis: number): string {
    const backwards = this.#emit.integers(Array.from({ length: positions }, (_, index) => positions - 1 - index));
    return this.#compute(`${name}~flipped`, "Gather", [name, backwards], { axis: { i: axis } });
  }

  #pad(name: string, after: readonly number[]): string {
    if (after.every((size) => size === 0)) return name;
    const amounts = this.#emit.integers([...after.map(() => 0), ...after]);
    return this.#compute(`${name}~padded`, "Pad", [name, amounts]);
  }

  #toBlocks(hint: string, image: string, order?: "channelsLast"): string {
    const attributes = order ? { channels_last: { i: 1 } } : {};
    return this.#compute(`${hint}~blocks`, "ReorderInput", [image], attributes, domains.blocked);
  }

  #view(name: string, shape: Shape): string {
    return this.#compute(`${name}~view`, "Reshape", [name, this.#emit.integers(shape)]);
  }

  /** Writes a node, unless an equal one exists: the backward pass and the parts of a batch share converted kernels. */
  #compute(
    hint: string,
    operator: string,
    inputs: readonly string[],
    attributes: Attributes = {},
    domain: Domain = domains.onnx,
  ): string {
    const key = JSON.stringify([domain, operator, inputs, attributes]);
    const name = this.#computed.get(key) ?? this.#emit.compute(hint, operator, inputs, attributes, domain);
    this.#computed.set(key, name);
    return name;
  }

  #padded(channels: number): number {
    return Math.ceil(channels / this.#block) * this.#block;
  }
}
