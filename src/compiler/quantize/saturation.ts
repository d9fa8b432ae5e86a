import { conv2d, input } from "../../graph/builder.ts";
import { network } from "../../graph/network.ts";
import { type FloatTensor, filledTensor, floatTensor } from "../../tensor/tensor.ts";
import { compile } from "../compile.ts";

const channels = 32;
const largest = 127 * 255 * channels;

/**
 * A model whose largest bytes meet its largest weights. x86 CPUs without VNNI add pairs of such products in 16 bits and limit the
 * sums, so that the result is too small there.
 */
export function saturationProbe(): { readonly model: Uint8Array; readonly images: FloatTensor } {
  const probe = network(
    "probe",
    conv2d(input([4, 4, channels]), { name: "y", filters: channels, kernelSize: 1, useBias: false }),
  );
  const weights = new Map([["y/kernel", filledTensor([1, 1, channels, channels], 127)]]);
  const activations = new Map([
    ["transpose", { scale: 1, zeroPoint: 0 }],
    ["y", { scale: largest / 255, zeroPoint: 0 }],
  ]);
  const model = compile(probe, weights, {
    form: "int8",
    quantization: { weightBits: 8, activations, floatLayers: [] },
  });
  return { model, images: floatTensor([1, 4, 4, channels], new Float32Array(16 * channels).fill(255)) };
}

/** Returns whether sums of products are limited, from the probe's output. */
export function readSaturation(output: Float32Array): boolean {
  return output[0]! < 0.9 * largest;
}
