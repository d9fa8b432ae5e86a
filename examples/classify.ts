import { loadClassifier } from "xception-ts/node";

const classifier = await loadClassifier("run/model.onnx");
for (const { label, probability } of await classifier.classify("elephant.png")) {
  console.log(`${label}: ${(100 * probability).toFixed(1)} %`);
}
await classifier.dispose();
