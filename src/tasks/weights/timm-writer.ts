import { toTorchLayout } from "../../graph/torch-layout.ts";
import { timmNames } from "../../models/timm-names.ts";
import { completeOptions, legacyXceptionOptions } from "../../models/xception-options.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { metadataKey } from "../../weights/metadata-key.ts";
import { writeSafetensors } from "../../weights/safetensors.ts";
import { writeMetadata } from "../model/model-metadata.ts";
import type { ModelToWrite, Written } from "./weights-target.ts";

/**
 * The weights as timm's `.safetensors` has them: under timm's names, in PyTorch's layout.
 * @throws {UsageError} timm has no such network.
 */
export function writeTimm(model: ModelToWrite): Written {
  const tensors = new Map<string, Tensor>();
  for (const { name, weight } of timmNames(model.architecture)) {
    // The counter of a batch normalization: how many batches it has seen, which nobody noted.
    if (weight === undefined) tensors.set(name, { type: "int64", shape: [], data: BigInt64Array.of(0n) });
    else tensors.set(name, toTorchLayout(weight, model.weights.get(weight.name)!));
  }
  const metadata = new Map([
    ["format", "pt"],
    [metadataKey, writeMetadata(model)],
  ]);
  const bytes = writeSafetensors(tensors, metadata);
  return { bytes, beside: new Map(), format: "safetensors of timm", notes: differences(model) };
}

/** What timm computes otherwise with these weights. */
function differences({ architecture }: ModelToWrite): string[] {
  if (architecture.family !== "xception") return [];
  const { batchNormEpsilon, poolPadding } = completeOptions(architecture.options);
  const { batchNormEpsilon: theirEpsilon, poolPadding: theirPadding } = legacyXceptionOptions;
  if (batchNormEpsilon === theirEpsilon && poolPadding === theirPadding) return [];
  return [
    `timm's legacy_xception adds ${theirEpsilon} to variances and pads its pooling on both sides, this model ` +
      `${batchNormEpsilon} and "${poolPadding}": its answers there will differ somewhat.`,
  ];
}
