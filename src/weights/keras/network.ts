import { FormatError, XceptionError } from "../../errors.ts";
import { input, type LayerOutput } from "../../graph/builder.ts";
import type { Size2 } from "../../graph/layers.ts";
import { type Network, network } from "../../graph/network.ts";
import type { Shape } from "../../tensor/shape.ts";
import { scalingOf } from "./arithmetic.ts";
import { type KerasEntry, type KerasModel, kerasModel, layerNames } from "./entries.ts";
import { inboundNames, onlyLayer } from "./inbound.ts";
import { augmentationLayers, layerRules, type PixelRescaling, readsZeros } from "./layer-rules.ts";

/** A network as Keras describes it. */
export interface KerasNetwork {
  readonly network: Network;
  /** Weights that are not in the file because they never change: `bn/gamma` of a normalization without scale. */
  readonly constants: ReadonlyMap<string, number>;
  /** What a `Rescaling` right behind the input makes of pixels; the network begins behind it. */
  readonly rescaling?: PixelRescaling;
}

export interface KerasNetworkOptions {
  /** What errors call the file. */
  readonly where: string;
  /** `[height, width, channels]`, if the file leaves the size of images open. */
  readonly inputShape?: Shape | undefined;
}

/**
 * Builds the network that a `model_config` (Keras 2) or `config.json` (Keras 3) describes: a functional or a sequential
 * model with one input and one output, of the layers we know. The layers of a model within it take the model's place.
 * @throws {FormatError} it is no such description, or has a layer or an option that we do not know.
 */
export function networkFromKeras(config: string, options: KerasNetworkOptions): KerasNetwork {
  const { where } = options;
  const model = kerasModel(config, where);
  try {
    const whole: Whole = { options, constants: new Map(), names: new Set(layerNames(model)), padded: new Map() };
    const output = new Build(whole, where).model(model);
    if (whole.padded.has(output)) throw zerosError(where, "the network's end");
    const { constants, rescaled } = whole;
    const rescaling = rescaled && { scale: rescaled.scale, offset: rescaled.offset };
    return { network: network(model.name, output), constants, ...(rescaling && { rescaling }) };
  } catch (cause) {
    if (!(cause instanceof XceptionError) || cause instanceof FormatError) throw cause;
    // A layer that the graph refuses: two of one name, shapes that do not fit.
    throw new FormatError({ where, what: cause.message, cause });
  }
}

/** What the builds of a model and of those within it share. */
interface Whole {
  readonly options: KerasNetworkOptions;
  readonly constants: Map<string, number>;
  readonly names: Set<string>;
  /** Stand-ins for outputs with zeros around them, which are a layer of Keras, but here an option of convolutions. */
  readonly padded: Map<LayerOutput, { readonly source: LayerOutput; readonly zeros: Size2 }>;
  /** What has been made of pixels so far. */
  rescaled?: PixelRescaling & { readonly output: LayerOutput };
}

class Build {
  readonly #whole: Whole;
  readonly #where: string;
  readonly #outputs = new Map<string, LayerOutput>();

  constructor(whole: Whole, where: string) {
    this.#whole = whole;
    this.#where = where;
  }

  /** @param given what a model within another one reads; its own input layer stands for that. */
  model(model: KerasModel, given?: LayerOutput): LayerOutput {
    return model.type === "Sequential" ? this.#sequential(model, given) : this.#functional(model, given);
  }

  #functional({ layers, inputLayers, outputLayers }: KerasModel, given: LayerOutput | undefined): LayerOutput {
    const first = onlyLayer(inputLayers, `${this.#where}, field "input_layers"`);
    const last = onlyLayer(outputLayers, `${this.#where}, field "output_layers"`);
    for (const entry of layers) {
      if (entry.type === "InputLayer" && entry.name === first) this.#begin(entry, entry.name, given);
      else this.#addConnected(entry);
    }
    return this.#output(last, this.#where);
  }

  #addConnected(entry: KerasEntry): void {
    const { name, where, inboundNodes } = entry;
    const scaling = scalingOf(entry);
    if (scaling) {
      const { input: source, ...rescaling } = scaling;
      this.#outputs.set(name, this.#rescale(rescaling, this.#output(source, where), where));
      return;
    }
    // Before its inputs are looked at, which layers of other classes may have in other forms.
    assertKnown(entry);
    const sources = inboundNames(inboundNodes, where, augmentationLayers.has(entry.type) ? ["training"] : []);
    this.#add(
      entry,
      sources.map((source) => this.#output(source, where)),
    );
  }

  #sequential({ layers }: KerasModel, given: LayerOutput | undefined): LayerOutput {
    const [first, ...rest] = layers;
    if (!first) throw new FormatError({ where: this.#where, what: "the model has no layers" });
    const hasInput = first.type === "InputLayer";
    let last = this.#begin(first, hasInput ? first.name : this.#nameInside(first.name, "input"), given);
    for (const entry of hasInput ? rest : layers) {
      assertKnown(entry);
      last = this.#add(entry, [last]);
    }
    return last;
  }

  #begin(entry: KerasEntry, name: string, given: LayerOutput | undefined): LayerOutput {
    const output = given ?? input(imageShape(beginning(entry), this.#whole.options.inputShape), { name });
    this.#outputs.set(name, output);
    return output;
  }

  #add(entry: KerasEntry, inputs: readonly LayerOutput[]): LayerOutput {
    const { type, name, where, fields, model } = entry;
    const padded = inputs.flatMap((each) => this.#whole.padded.get(each) ?? [])[0];
    if (padded && !model && !readsZeros.has(type)) throw zerosError(where, type);
    const [first, ...others] = padded && !model ? [padded.source] : inputs;
    if (!first || (others.length > 0 && type !== "Add")) {
      throw new FormatError({
        where,
        what: "the layer has another number of inputs",
        received: inputs.length,
        expected: "1",
      });
    }
    const output = model
      ? new Build(this.#whole, where).model(model, first)
      : layerRules[type]!({
          name,
          fields,
          inputs: [first, ...others],
          zeros: padded?.zeros,
          nameInside: (part) => this.#nameInside(name, part),
          constant: (weight, value) => this.#whole.constants.set(weight, value),
          pad: (zeros) => this.#pad(first, zeros),
          rescale: (rescaling) => this.#rescale(rescaling, first, where),
        });
    this.#outputs.set(name, output);
    return output;
  }

  #pad(source: LayerOutput, zeros: Size2): LayerOutput {
    const standIn = { ...source };
    this.#whole.padded.set(standIn, { source, zeros });
    return standIn;
  }

  /** Pixels are scaled before they reach the network, not in it; one scaling may follow another. */
  #rescale(rescaling: PixelRescaling, output: LayerOutput, where: string): LayerOutput {
    if (this.#whole.padded.has(output)) throw zerosError(where, "arithmetic");
    const before = this.#whole.rescaled;
    const isFirst = before === undefined ? output.config.type === "InputLayer" : output === before.output;
    if (!isFirst) {
      throw new FormatError({
        where,
        what: "it is not the first layer",
        expected: "one Rescaling right behind the input",
      });
    }
    const { scale, offset } = before ?? { scale: 1, offset: 0 };
    this.#whole.rescaled = {
      scale: scale * rescaling.scale,
      offset: offset * rescaling.scale + rescaling.offset,
      // Another one, so that a layer that reads pixels as they are does not go unnoticed.
      output: input(output.shape, { name: output.name }),
    };
    return this.#whole.rescaled.output;
  }

  #output(name: string, where: string): LayerOutput {
    const output = this.#outputs.get(name);
    if (output) return output;
    throw new FormatError({ where, what: `it reads "${name}", which is no layer before it` });
  }

  #nameInside(name: string, part: string): string {
    const { names } = this.#whole;
    let free = `${name}_${part}`;
    for (let count = 1; names.has(free); count++) free = `${name}_${part}_${count}`;
    names.add(free);
    return free;
  }
}

function assertKnown({ type, where, model }: KerasEntry): void {
  if (model || Object.hasOwn(layerRules, type)) return;
  throw new FormatError({
    where,
    what: "layers of this class are not supported",
    received: type,
    expected: `one of ${Object.keys(layerRules).join(", ")}, or arithmetic with one number`,
  });
}

function zerosError(where: string, received: string): FormatError {
  return new FormatError({
    where,
    what: "a ZeroPadding2D stands in front of something else than a convolution",
    received,
    expected: `one of ${[...readsZeros].join(", ")}, with padding "valid"`,
  });
}

/** The layer that knows the shape of images, where a model begins with another model. */
function beginning(entry: KerasEntry): KerasEntry {
  const first = entry.model?.layers[0];
  return first ? beginning(first) : entry;
}

function imageShape({ fields, where }: KerasEntry, given: Shape | undefined): Shape {
  const stored = fields.batchShape();
  const sizes = stored?.map((size, axis) => size ?? given?.[axis]);
  if (sizes?.length === 3 && sizes.every((size) => typeof size === "number" && Number.isInteger(size) && size >= 1)) {
    const shape = sizes as number[];
    if (given === undefined || shape.every((size, axis) => size === given[axis])) return shape;
    throw new FormatError({
      where,
      what: "the network reads images of another shape",
      received: given,
      expected: `[${shape.join(", ")}]`,
    });
  }
  throw new FormatError({
    where,
    what: "the shape of its images is not known",
    received: stored,
    expected: "[height, width, channels]",
    remedy: "Give the input shape.",
  });
}
