import { domains, OnnxEmitter } from "./onnx/emitter.ts";
import { encodeModel } from "./onnx/model.ts";

/** Channels and pixels of the probe's image: more channels than any engine puts into a block. */
const shape = [1, 64, 1, 2] as const;

/**
 * A model that brings an image into the engine's blocked layout. How the engine orders the pixels tells its block size,
 * which no interface does; an engine without such a layout refuses the model.
 */
export function blockProbe(): { readonly model: Uint8Array; readonly input: Float32Array } {
  const emit = new OnnxEmitter();
  emit.node("ReorderInput", ["image"], ["blocks"], {}, domains.blocked);
  const value = (name: string) => ({ name, type: "float32", shape }) as const;
  const model = encodeModel(emit, { name: "probe", inputs: [value("image")], outputs: [value("blocks")] });
  return { model, input: Float32Array.from({ length: 128 }, (_, index) => index) };
}

/** Block size from the probe's output: the second pixel of channel 0 follows a whole block of first pixels. */
export function readBlockSize(output: Float32Array): number {
  return output.indexOf(1);
}
