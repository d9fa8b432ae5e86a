/** The engines on one page, each as its own documentation says; bench/browser.ts calls them. */
import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";
import { setThreadsCount, setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { loadLayersModel } from "@tensorflow/tfjs-layers";
import * as ort from "onnxruntime-web/wasm";
import type { KernelBuild } from "../../src/runtime/wasm/web-assembly.ts";

/** Runs the network on one image, `[1, 299, 299, 3]` → probabilities. */
type Run = (images: Float32Array) => Promise<Float32Array>;

const shape = [1, 299, 299, 3];

/** A file of the server, kept in the Cache API: browsers' own caches drop files of this size. */
async function bytesOf(path: string): Promise<Uint8Array> {
  const cache = await caches.open("bench");
  const cached = await cache.match(path);
  if (cached) return new Uint8Array(await cached.arrayBuffer());
  const bytes = new Uint8Array(await (await fetch(path)).arrayBuffer());
  await cache.put(path, new Response(bytes));
  return bytes;
}

async function ours(threads: number, build: KernelBuild): Promise<Run> {
  const worker = new Worker(new URL("./engine-worker.js", import.meta.url), { type: "module" });
  const ask = <T>(message: unknown) =>
    new Promise<T>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message: text }) => reject(new Error(text));
      worker.postMessage(message);
    });
  await ask({ program: await bytesOf("/models/program"), threads, build });
  return (images) => ask(images);
}

/** Loads the network into an engine. */
export const engines: Readonly<Record<string, (threads: number) => Promise<Run>>> = {
  "ours, relaxed SIMD": (threads) => ours(threads, "relaxed"),
  "ours, plain SIMD": (threads) => ours(threads, "plain"),

  async "onnxruntime-web"(threads) {
    ort.env.wasm.numThreads = threads;
    ort.env.wasm.wasmPaths = "/ort/";
    const session = await ort.InferenceSession.create(await bytesOf("/models/folded.onnx"), {
      executionProviders: ["wasm"],
    });
    return async (images) => {
      const outputs = await session.run({ images: new ort.Tensor("float32", images, shape) });
      return outputs[session.outputNames[0]!]!.data as Float32Array;
    };
  },

  async "LiteRT.js"(threads) {
    await loadLiteRt("/litert/", { threads: threads > 1 });
    const model = await loadAndCompile(await bytesOf("/models/model.tflite"), {
      accelerator: "wasm",
      cpuOptions: { numThreads: threads },
    });
    return async (images) => {
      const input = new Tensor(images, shape);
      const [output] = await model.run([input]);
      const values = (output!.toTypedArray() as Float32Array).slice();
      input.delete();
      output!.delete();
      return values;
    };
  },

  async "TensorFlow.js"(threads) {
    setWasmPaths("/tfjs/");
    setThreadsCount(threads);
    await tf.setBackend("wasm");
    const model = await loadLayersModel({
      async load() {
        const json = JSON.parse(new TextDecoder().decode(await bytesOf("/models/tfjs/model.json")));
        const [{ paths, weights }] = json.weightsManifest;
        const shards = await Promise.all(paths.map((path: string) => bytesOf(`/models/tfjs/${path}`)));
        const weightData = await new Blob(shards).arrayBuffer();
        return { modelTopology: json.modelTopology, weightSpecs: weights, weightData };
      },
    });
    return async (images) => {
      const output = tf.tidy(
        () => model.predict(tf.tensor(images, shape as [number, number, number, number])) as tf.Tensor,
      );
      const values = (await output.data()) as Float32Array;
      output.dispose();
      return values;
    };
  },
};

Object.assign(globalThis, { engines });
