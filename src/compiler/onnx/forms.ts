import type { Value } from "../../graph/ops.ts";
import { sizeOf } from "../../tensor/shape.ts";
import { domains, type OnnxEmitter } from "./emitter.ts";

/**
 * Memory layouts of a batch of feature maps; b is the engine's block of channels, C' the next multiple of b, and the lanes
 * beyond C hold zeros:
 * - `plain` `[N, C, H, W]`
 * - `blocks` `[N, C'/b, H, W, b]`; the engine reads its shape as `[N, C', H, W]`
 * - `channelBlocks` `[C'/b, N, H, W, b]`; the engine reads one tall image, `[1, C', N·H, W]`
 * - `channels` `[C, N, H, W]`; the engine reads `[1, C, N·H, W]`
 */
export type Form = "plain" | "blocks" | "channelBlocks" | "channels";

/** The forms in blocks. */
export type BlockOrder = "blocks" | "channelBlocks";

/** Each form is one step away from its neighbors in this list. */
const line: readonly Form[] = ["plain", "blocks", "channelBlocks", "channels"];

/** The forms in which each value exists; converts a value at most once to each form. */
export class ValueForms {
  readonly #emit: OnnxEmitter;
  readonly #block: number;
  readonly #nameOf: (value: Value) => string;
  readonly #names = new Map<string, Map<Form, string>>();

  constructor(emit: OnnxEmitter, block: number, nameOf: (value: Value) => string) {
    this.#emit = emit;
    this.#block = block;
    this.#nameOf = nameOf;
  }

  /** Rounds a number of channels up to the next multiple of the block. */
  lanes(channels: number): number {
    return Math.ceil(channels / this.#block) * this.#block;
  }

  /** Returns whether the value exists in this form. */
  has(value: Value, form: Form): boolean {
    return this.#names.get(value.name)?.has(form) ?? false;
  }

  /** Returns whether the value exists in blocks, in either order. */
  isBlocked(value: Value): boolean {
    return this.has(value, "blocks") || this.has(value, "channelBlocks");
  }

  /** Claims the ONNX name for a form of a value that will be computed next. */
  define(value: Value, form: Form): string {
    const names = this.#names.get(value.name) ?? new Map<Form, string>();
    this.#names.set(value.name, names);
    const name = form === "plain" ? this.#nameOf(value) : this.#emit.unusedName(`${value.name}~${form}`);
    names.set(form, name);
    return name;
  }

  /** ONNX name of a value in a form; an unknown value exists plain. */
  get(value: Value, form: Form): string {
    const names = this.#names.get(value.name);
    const known = names?.get(form);
    if (known !== undefined) return known;
    if (form === "plain" && !names) return this.#nameOf(value);
    const wanted = line.indexOf(form);
    const existing = names ? [...names.keys()].map((each) => line.indexOf(each)) : [0];
    const nearest = existing.reduce((a, b) => (Math.abs(b - wanted) < Math.abs(a - wanted) ? b : a));
    const neighbor = line[wanted + Math.sign(nearest - wanted)]!;
    return this.#step(value, neighbor, form);
  }

  /** The order of blocks in which a value exists, or would first. */
  blockOrder(value: Value): BlockOrder {
    return this.has(value, "channelBlocks") || this.has(value, "channels") ? "channelBlocks" : "blocks";
  }

  #step(value: Value, from: Form, to: Form): string {
    const [batch, channels, height, width] = value.shape as [number, number, number, number];
    const lanes = this.lanes(channels);
    const source = this.get(value, from);
    if (!this.#names.has(value.name)) this.#names.set(value.name, new Map([["plain", source]]));
    const areBlocks = [from, to].every((form) => form === "blocks" || form === "channelBlocks");
    if (areBlocks && batch === 1) {
      this.#names.get(value.name)!.set(to, source);
      return source;
    }
    const target = this.define(value, to);
    const crop = { channels: { i: channels } };
    if (to === "plain" || to === "channels") {
      this.#emit.node("ReorderOutput", [source], [target], crop, domains.blocked);
    } else if (from === "plain" || from === "channels") {
      this.#emit.node("ReorderInput", [source], [target], {}, domains.blocked);
    } else {
      const [outer, inner] = to === "channelBlocks" ? [batch, lanes / this.#block] : [lanes / this.#block, batch];
      const view = this.#emit.reshape(source, [outer, inner, height * width * this.#block]);
      const swapped = this.#emit.compute(`${target}/swapped`, "Transpose", [view], { perm: { ints: [1, 0, 2] } });
      const shape = to === "channelBlocks" ? [1, lanes, batch * height, width] : [batch, lanes, height, width];
      this.#emit.node("Reshape", [swapped, this.#emit.integers(shape)], [target]);
    }
    return target;
  }
}

/** Number of elements in one channel of a batch of images. */
export function elementsPerChannel({ shape }: Value): number {
  return sizeOf(shape) / shape[1]!;
}
