import { FormatError, XceptionError } from "../../errors.ts";
import { input, type LayerOutput } from "../../graph/builder.ts";
import { type Network, network } from "../../graph/network.ts";
import type { Shape } from "../../tensor/shape.ts";
import { type KerasEntry, kerasModel } from "./entries.ts";
import { inboundNames, onlyLayer } from "./inbound.ts";
import { layerRules } from "./layer-rules.ts";

/** A network as Keras describes it. */
export interface KerasNetwork {
  readonly network: Network;
  /** Weights that are not in the file because they never change: `bn/gamma` of a normalization without scale. */
  readonly constants: ReadonlyMap<string, number>;
}

export interface KerasNetworkOptions {
  /** What errors call the file. */
  readonly where: string;
  /** `[height, width, channels]`, if the file leaves the size of pictures open. */
  readonly inputShape?: Shape | undefined;
}

/**
 * Builds the network that a `model_config` (Keras 2) or `config.json` (Keras 3) describes: a functional or a sequential
 * model with one input and one output, of the layers we know.
 * @throws {FormatError} it is no such description, or has a layer or an option that we do not know.
 */
export function networkFromKeras(config: string, options: KerasNetworkOptions): KerasNetwork {
  const { where } = options;
  const { name, type, layers, inputLayers, outputLayers } = kerasModel(config, where);
  try {
    const built = new Build(layers, options);
    const output = type === "Sequential" ? built.sequential() : built.functional(inputLayers, outputLayers);
    return { network: network(name, output), constants: built.constants };
  } catch (cause) {
    if (!(cause instanceof XceptionError) || cause instanceof FormatError) throw cause;
    // A layer that the graph refuses: two of one name, shapes that do not fit.
    throw new FormatError({ where, what: cause.message, cause });
  }
}

class Build {
  readonly constants = new Map<string, number>();
  readonly #entries: readonly KerasEntry[];
  readonly #options: KerasNetworkOptions;
  readonly #outputs = new Map<string, LayerOutput>();
  readonly #names: Set<string>;

  constructor(entries: readonly KerasEntry[], options: KerasNetworkOptions) {
    this.#entries = entries;
    this.#options = options;
    this.#names = new Set(entries.map(({ name }) => name));
  }

  functional(inputLayers: unknown, outputLayers: unknown): LayerOutput {
    const { where } = this.#options;
    const first = onlyLayer(inputLayers, `${where}, field "input_layers"`);
    const last = onlyLayer(outputLayers, `${where}, field "output_layers"`);
    for (const entry of this.#entries) {
      const inbound = inboundNames(entry.inboundNodes, entry.where);
      const inputs = inbound.map((name) => this.#output(name, entry.where));
      if (entry.type === "InputLayer" && entry.name === first) this.#begin(entry, entry.name);
      else this.#add(entry, inputs);
    }
    return this.#output(last, where);
  }

  sequential(): LayerOutput {
    const [first, ...rest] = this.#entries;
    if (!first) throw new FormatError({ where: this.#options.where, what: "the model has no layers" });
    const hasInput = first.type === "InputLayer";
    let last = this.#begin(first, hasInput ? first.name : this.#nameInside(first.name, "input"));
    for (const entry of hasInput ? rest : this.#entries) last = this.#add(entry, [last]);
    return last;
  }

  #begin(entry: KerasEntry, name: string): LayerOutput {
    const output = input(pictureShape(entry, this.#options.inputShape), { name });
    this.#outputs.set(name, output);
    return output;
  }

  #add({ type, name, where, fields }: KerasEntry, inputs: readonly LayerOutput[]): LayerOutput {
    const rule = Object.hasOwn(layerRules, type) ? layerRules[type] : undefined;
    if (!rule) {
      throw new FormatError({
        where,
        what: "layers of this class are not supported",
        received: type,
        expected: `one of ${Object.keys(layerRules).join(", ")}`,
      });
    }
    const [first, ...others] = inputs;
    if (!first || (others.length > 0 && type !== "Add")) {
      throw new FormatError({
        where,
        what: "the layer has another number of inputs",
        received: inputs.length,
        expected: "1",
      });
    }
    const output = rule({
      name,
      fields,
      inputs: [first, ...others],
      nameInside: (part) => this.#nameInside(name, part),
      constant: (weight, value) => this.constants.set(weight, value),
    });
    this.#outputs.set(name, output);
    return output;
  }

  #output(name: string, where: string): LayerOutput {
    const output = this.#outputs.get(name);
    if (output) return output;
    throw new FormatError({ where, what: `it reads "${name}", which is no layer before it` });
  }

  #nameInside(name: string, part: string): string {
    let free = `${name}_${part}`;
    for (let count = 1; this.#names.has(free); count++) free = `${name}_${part}_${count}`;
    this.#names.add(free);
    return free;
  }
}

function pictureShape({ fields, where }: KerasEntry, given: Shape | undefined): Shape {
  const stored = fields.batchShape();
  const sizes = stored?.map((size, axis) => size ?? given?.[axis]);
  if (sizes?.length === 3 && sizes.every((size) => typeof size === "number" && Number.isInteger(size) && size >= 1)) {
    const shape = sizes as number[];
    if (given === undefined || shape.every((size, axis) => size === given[axis])) return shape;
    throw new FormatError({
      where,
      what: "the network reads pictures of another shape",
      received: given,
      expected: `[${shape.join(", ")}]`,
    });
  }
  throw new FormatError({
    where,
    what: "the shape of its pictures is not known",
    received: stored,
    expected: "[height, width, channels]",
    remedy: "Give the input shape.",
  });
}
