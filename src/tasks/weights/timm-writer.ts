import { toTorchLayout } from "../../graph/torch-layout.ts";
import { timmDifferences, timmNames } from "../../models/timm-names.ts";
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
  const found = timmDifferences(architecture);
  if (found.length === 0) return [];
  const texts = found.map(({ option, values: [theirs, ours] }) => `${option} ${theirs}, this model ${ours}`);
  return [`timm's network has ${texts.join("; ")}: its answers there will differ somewhat.`];
}
