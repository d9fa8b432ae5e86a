import { FormatError, XceptionError } from "../../base/errors.ts";
import { input, type LayerOutput } from "../../graph/builder.ts";
import { mergingLayers } from "../../graph/layers.ts";
import { network } from "../../graph/network.ts";
import type { Shape } from "../../tensor/shape.ts";
import type { DescribedNetwork, FileContents, FileFormat } from "../format.ts";
import { shapesOf } from "../map-weights.ts";
import { signatures } from "../signatures.ts";
import {
  inboundNames,
  type KerasEntry,
  type KerasModel,
  kerasModel,
  namesInModel,
  onlyLayer,
  scalingOf,
} from "./config.ts";
import { kerasFileJob, kerasFileLimits, readKerasFile } from "./file.ts";
import { augmentationLayers, layerRules, type PixelRescaling } from "./layer-rules.ts";

/** Keras: `.keras`, `.h5` with a whole model or only its weights, and `.weights.h5`. */
export const kerasFormat: FileFormat = {
  ...signatures.keras,
  async read({ bytes, isDisposable, where, isolate }) {
    const limits = kerasFileLimits(bytes);
    const read = isolate ? isolate(kerasFileJob(bytes, where, isDisposable), limits) : readKerasFile(bytes, where);
    const { format, layers, config, metadata } = await read;
    return {
      format,
      layers: () => ({ layers }),
      stored: () => shapesOf(layers),
      metadata,
      ...kerasNetwork(config, where),
    };
  },
};

/** The network in a file with Keras's description of it. */
export function kerasNetwork(config: string | undefined, where: string): Pick<FileContents, "describedNetwork"> {
  if (config === undefined) return {};
  return { describedNetwork: (inputShape) => networkFromKeras(config, where, inputShape) };
}

/**
 * Builds the network that a `model_config` (Keras 2) or `config.json` (Keras 3) describes: a functional or sequential
 * model of supported layers with one input and one output. Nested models are inlined.
 * @param where the file's name in errors.
 * @param inputShape `[height, width, channels]`, if the file leaves the image size open.
 * @throws {FormatError} it is no such description, or has an unsupported layer or option.
 */
export function networkFromKeras(config: string, where: string, inputShape?: Shape): DescribedNetwork {
  const model = kerasModel(config, where);
  try {
    const whole: Whole = { inputShape, names: new Set(namesInModel(model)) };
    const output = new Build(whole, where).model(model);
    const { rescaling } = whole;
    return { network: network(model.name, output), ...(rescaling && { rescaling }) };
  } catch (cause) {
    if (!(cause instanceof XceptionError) || cause instanceof FormatError) throw cause;
    // The graph rejects a layer: duplicate names, incompatible shapes.
    throw new FormatError({ where, what: cause.message, cause });
  }
}

/** State shared by the builds of a model and its nested models. */
interface Whole {
  readonly inputShape: Shape | undefined;
  readonly names: Set<string>;
  /** The rescaling of pixels so far, and the layer after it. */
  rescaling?: PixelRescaling;
  rescaled?: LayerOutput;
}

class Build {
  readonly #whole: Whole;
  readonly #where: string;
  readonly #outputs = new Map<string, LayerOutput>();

  constructor(whole: Whole, where: string) {
    this.#whole = whole;
    this.#where = where;
  }

  /** @param given the input of a nested model, which replaces its own input layer. */
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
      this.#outputs.set(name, this.#rescale(scaling.rescaling, this.#output(scaling.input, where), where));
      return;
    }
    // Before reading its inputs: layers of other classes may have them in other forms.
    assertKnown(entry);
    const sources = inboundNames(inboundNodes, where, augmentationLayers.has(entry.type) ? ["training"] : []);
    const inputs = sources.map((source) => this.#output(source, where));
    this.#add(entry, inputs);
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
    const output = given ?? input(imageShape(beginning(entry), this.#whole.inputShape), { name });
    this.#outputs.set(name, output);
    return output;
  }

  #add(entry: KerasEntry, inputs: readonly LayerOutput[]): LayerOutput {
    const { type, name, where, fields, model } = entry;
    const [first, ...others] = inputs;
    if (!first || (others.length > 0 && !mergingLayers.has(type))) {
      throw new FormatError({ where, what: "wrong number of inputs", received: inputs.length, expected: "1" });
    }
    const output = model
      ? new Build(this.#whole, where).model(model, first)
      : layerRules[type]!({
          name,
          fields,
          inputs: [first, ...others],
          nameInside: (part) => this.#nameInside(name, part),
          rescale: (rescaling) => this.#rescale(rescaling, first, where),
        });
    this.#outputs.set(name, output);
    return output;
  }

  /** Pixels are rescaled before they reach the network, not in it; one rescaling may follow another. */
  #rescale(rescaling: PixelRescaling, output: LayerOutput, where: string): LayerOutput {
    const whole = this.#whole;
    const isFirst = whole.rescaled === undefined ? output.config.type === "InputLayer" : output === whole.rescaled;
    if (!isFirst) {
      const expected = "one Rescaling directly after the input";
      throw new FormatError({ where, what: "it is not the first layer", expected });
    }
    const { scale, offset } = whole.rescaling ?? { scale: 1, offset: 0 };
    whole.rescaling = { scale: scale * rescaling.scale, offset: offset * rescaling.scale + rescaling.offset };
    // A new layer, so that one that reads the original pixels is detected.
    whole.rescaled = input(output.shape, { name: output.name });
    return whole.rescaled;
  }

  #output(name: string, where: string): LayerOutput {
    const output = this.#outputs.get(name);
    if (output) return output;
    throw new FormatError({ where, what: `its input "${name}" is not an earlier layer` });
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
    what: "unsupported layer",
    received: type,
    expected: `one of ${Object.keys(layerRules).join(", ")}, or arithmetic with one number`,
  });
}

/** The layer that declares the image shape, where a model starts with a nested model. */
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
    const expected = `[${shape.join(", ")}]`;
    throw new FormatError({ where, what: "the network has another input shape", received: given, expected });
  }
  throw new FormatError({
    where,
    what: "unknown input shape",
    received: stored,
    expected: "[height, width, channels]",
    remedy: "Give the input shape.",
  });
}
