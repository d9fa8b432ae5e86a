import { encodeModel, initializeWeights, kerasPreprocessing, loadClassifier, xception } from "xception-ts/node";

/** A small network that has learned nothing yet; a real one is in the `model.onnx` of a training run. */
const options = { inputShape: [96, 96, 3], classes: 3, width: 0.25 } as const;
const model = encodeModel({
  architecture: { family: "xception", options },
  weights: initializeWeights(xception(options)),
  labels: ["cat", "dog", "owl"],
  preprocessing: { ...kerasPreprocessing, fit: "cover", background: [255, 255, 255] },
});

/** A file's path, the bytes of a JPEG or PNG, or pixels: a classifier takes them all. */
const image = { width: 64, height: 48, data: new Uint8Array(64 * 48 * 3).fill(128) };

const classifier = await loadClassifier(model);
for (const { label, probability } of await classifier.classify(image, { top: 2 })) {
  console.log(`${label}: ${(100 * probability).toFixed(1)} %`);
}
await classifier.dispose();
