import { UsageError, WeightsError } from "../base/errors.ts";
import { assertAllowed, oneOf } from "../base/kinds.ts";
import type { MappingReport } from "../formats/map-weights.ts";
import { inputShapeOf } from "../graph/network.ts";
import type { StoredType, Weights } from "../graph/weights.ts";
import { type ModelToWrite, type TargetName, type Written, weightsTargets } from "../model/formats.ts";
import { completeModel } from "../model/load-model.ts";
import { type OpenAsOptions, openAs } from "../model/open-weights.ts";
import type { PreprocessingOptions } from "../model/preprocessing.ts";
import type { WeightsSource } from "../model/weights-file.ts";
import type { Shape } from "../tensor/shape.ts";
import { allFinite } from "../tensor/tensor.ts";

export interface ConvertOptions extends OpenAsOptions, PreprocessingOptions {
  /** Format to write. */
  readonly to: TargetName;
  /** Labels of the classes; default: those in the file, else their numbers. */
  readonly labels?: readonly string[] | undefined;
  /**
   * How kernels are stored, only in ONNX: `float16` halves the file and rounds to 3 digits, `int8` quarters it and rounds to 255 steps
   * for each filter. Default `float32`.
   */
  readonly dtype?: StoredType | undefined;
  /** Rejects NaN and infinite weights, which otherwise are only noted. Default false. */
  readonly strict?: boolean | undefined;
  /** Date for formats that store one; default: now. */
  readonly savedAt?: Date | undefined;
}

/** A converted file and what it took. */
export interface Conversion extends Omit<Written, "format"> {
  /** The format of the source. */
  readonly from: string;
  /** The format written: `model file` is one of this package, `plain ONNX` a graph for any tool. */
  readonly to: string;
  readonly network: { readonly name: string; readonly layers: number; readonly inputShape: Shape };
  readonly weights: MappingReport;
  /** The model as it was written. */
  readonly model: Omit<ModelToWrite, "weights">;
}

/**
 * Converts a file of weights to another format.
 * @throws as {@link Verbs.convert}.
 */
export async function convert(source: WeightsSource, options: ConvertOptions): Promise<Conversion> {
  const { to, dtype = "float32", strict = false, savedAt = new Date() } = options;
  assertAllowed("convert option to", to, Object.hasOwn(weightsTargets, to ?? ""), oneOf(Object.keys(weightsTargets)));
  const target = weightsTargets[to];
  if (dtype !== "float32" && !target.half) {
    throw new UsageError({
      where: "option dtype",
      what: `${target.title} stores only float32`,
      received: dtype,
      remedy: "Convert to ONNX, or leave the option out.",
    });
  }
  const opened = await openAs(source, options);
  if (opened.quantization !== undefined && (!target.half || dtype !== "float32")) {
    throw new UsageError({
      where: source.where,
      what: `its weights are int8 and its batch normalizations folded, which ${dtype === "float32" ? target.title : dtype} cannot store`,
      remedy: "Convert the float32 model that it was quantized from.",
    });
  }
  const strange = nonFiniteWeights(opened.weights, source.where, strict);
  const { model, notes } = await completeModel(opened, options);
  const { format, ...written } = await target.write(model, { savedAt, storedAs: dtype });
  const { weights: _, ...described } = model;
  return {
    ...written,
    from: opened.format,
    to: format,
    network: {
      name: opened.network.name,
      layers: opened.network.layers.length,
      inputShape: inputShapeOf(opened.network),
    },
    weights: opened.report,
    model: described,
    notes: [...opened.notes, ...strange, ...notes, ...written.notes],
  };
}

/**
 * Notes the weights that are NaN or infinite.
 * @throws {WeightsError} there are some, and `strict`.
 */
function nonFiniteWeights(weights: Weights, where: string, strict: boolean): readonly string[] {
  const names = [...weights].flatMap(([name, { data }]) => (allFinite(data) ? [] : name));
  if (names.length === 0) return [];
  const listed = `${names.slice(0, 5).join(", ")}${names.length > 5 ? ` and ${names.length - 5} more` : ""}`;
  if (!strict) return [`Some of its weights are NaN or infinite: ${listed}.`];
  throw new WeightsError({ where, what: `some of its weights are NaN or infinite: ${listed}` });
}
