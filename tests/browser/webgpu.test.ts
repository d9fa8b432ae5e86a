import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { kerasPreprocessing } from "../../src/graph/preprocessing.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { architectureOf } from "../../src/models/registry.ts";
import { loadClassifier } from "../../src/node.ts";
import { smallNetwork } from "../report/small-network.ts";
import { type BrowserTest, startBrowserTest, whyNoBrowser } from "./browser.ts";

/** Chromium's graphics driver in software. */
const softwareGpu = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"];

const network = smallNetwork();
const model = encodeModel({
  architecture: architectureOf(network),
  weights: syntheticWeights(network),
  labels: ["a", "b", "c", "d", "e"],
  preprocessing: { ...kerasPreprocessing, fit: "fill", background: [0, 0, 0] },
});
const image = { width: 12, height: 9, data: Uint8Array.from({ length: 12 * 9 * 3 }, (_, index) => (index * 37) % 251) };

/** Runs in the worker before the library: the page says what happens to the GPU. */
const fate = `
  let fate;
  const devices = [];
  new BroadcastChannel("fate").onmessage = ({ data }) => {
    fate = data;
    if (fate === "lost") for (const device of devices.splice(0)) device.destroy();
  };
  const adapt = GPU.prototype.requestAdapter;
  GPU.prototype.requestAdapter = async function (options) {
    return fate === "missing" ? null : adapt.call(this, options);
  };
  const request = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (needs) {
    const device = await request.call(this, needs);
    devices.push(device);
    return device;
  };
  const read = GPUBuffer.prototype.getMappedRange;
  GPUBuffer.prototype.getMappedRange = function (...range) {
    const bytes = read.apply(this, range);
    if (fate === "wrong" && this.usage & GPUBufferUsage.MAP_READ) new Float32Array(bytes).fill(0.5);
    return bytes;
  };`;

let browser: BrowserTest;
let page: Page;
beforeAll(async () => {
  if (whyNoBrowser !== undefined) return;
  browser = await startBrowserTest(softwareGpu);
  browser.serve("/model.onnx", model);
  browser.serve("/fate.js", fate);
  browser.serve("/worker.js", 'import "/fate.js"; import "/library/web-worker.js";');
  page = await browser.open();
  await page.evaluate(() => {
    Object.assign(globalThis, {
      fate: new BroadcastChannel("fate"),
      verbs: xception.startWorker({ worker: () => new Worker("/worker.js", { type: "module" }) }),
    });
  });
});
afterAll(() => browser?.close());

type Fate = "none" | "missing" | "wrong" | "lost";

/** Loads a classifier on a GPU with this fate, or that has it later, and runs it twice. */
async function classifyTwice(device: "webgpu" | "fastest", fate: Fate) {
  return page.evaluate(
    async ({ device, fate, image }) => {
      const { verbs, fate: channel } = globalThis as unknown as { verbs: typeof xception; fate: BroadcastChannel };
      const arrived = () => new Promise((resolve) => setTimeout(resolve, 100));
      channel.postMessage(fate === "lost" ? "none" : fate);
      await arrived();
      const classifier = await verbs.loadClassifier("model.onnx", { session: { device } });
      const pixels = { ...image, data: new Uint8Array(image.data) };
      const { engine } = classifier;
      const [first] = await classifier.probabilities([pixels]);
      channel.postMessage(fate);
      await arrived();
      const [second] = await classifier.probabilities([pixels]);
      const after = classifier.engine;
      await classifier.dispose();
      return { engine: engine!, after: after!, first: [...first!], second: [...second!] };
    },
    { device, fate, image: { ...image, data: [...image.data] } },
  );
}

async function expectRight(found: readonly number[]): Promise<void> {
  await using classifier = await loadClassifier(model);
  const [expected] = await classifier.probabilities([image]);
  expect(found).toHaveLength(expected!.length);
  for (const [index, value] of found.entries()) expect(Math.abs(value - expected![index]!)).toBeLessThan(1e-4);
}

test("WebGPU computes Node's probabilities; when the GPU is lost, WebAssembly goes on in the middle of a session", async (context) => {
  if (whyNoBrowser !== undefined) return context.skip(whyNoBrowser);
  const { engine, after, first, second } = await classifyTwice("webgpu", "lost");
  expect(engine).toMatchObject({ device: "webgpu", threads: 1 });
  expect(engine.name).toMatch(/^ONNX Runtime [\d.]+, WebGPU$/);
  expect(engine.runMs).toBeGreaterThan(0);
  expect(engine.reasons).toHaveLength(1);
  expect(engine.reasons[0]).toMatch(/^WebGPU on .+ in float\d\d: \d+(\.\d)? ms a run, \d+(\.\d)? ms in WebAssembly\.$/);
  await expectRight(first);
  expect(after).toMatchObject({ device: "wasm" });
  expect(after.name).toMatch(/^xception-ts, /);
  expect(after.reasons[0]).toMatch(/^WebAssembly instead of WebGPU on .+: .+\.$/);
  await expectRight(second);
});

test.each([
  ["a GPU that is missing", "webgpu", "missing", /^Not WebGPU: the browser offers no GPU\.$/],
  [
    "one with wrong values",
    "webgpu",
    "wrong",
    /^Not WebGPU on .+ in float32: its values differ from WebAssembly's by \de.\d of the largest\.$/,
  ],
  [
    "a slower one",
    "fastest",
    "none",
    /^Not WebGPU on .+ in float32: \d+(\.\d)? ms a run, \d+(\.\d)? ms in WebAssembly\.$/,
  ],
] as const)("WebAssembly takes the place of %s, and says why", async (_, device, fate, reason) => {
  if (whyNoBrowser !== undefined) return;
  const { engine, first } = await classifyTwice(device, fate);
  expect(engine.device).toBe("wasm");
  expect(engine.reasons[0]).toMatch(reason);
  await expectRight(first);
});

test("WebGPU is refused for training", async () => {
  if (whyNoBrowser !== undefined) return;
  const message = await page.evaluate(async () => {
    const image = { width: 71, height: 71, data: new Uint8Array(3 * 71 * 71) };
    const samples = [0, 1].map((label) => ({ name: `${label}.png`, label, image }));
    const request = { imageSize: 71, width: 0.05, batchSize: 2, epochs: 1, device: "webgpu" } as const;
    return xception.train({ classes: ["a", "b"], samples }, request).then(String, (error: Error) => error.message);
  });
  expect(message).toBe('device "webgpu": it is offered for inference with networks only; expected wasm.');
});
