// @ts-nocheck: its library is no dependency of this package
// Writes formats/small-tfjs with TF.js itself: npm install @tensorflow/tfjs@4.22.0 elsewhere, then node tfjs-small.cjs FOLDER; with 1 as
// a second argument formats/small-tfjs-gray, a grayscale network
const tf = require("@tensorflow/tfjs");
const fs = require("fs");
const channels = Number(process.argv[3] ?? 3);
(async () => {
  await tf.setBackend("cpu");
  const i = tf.input({ shape: [12, 10, channels], name: "image" });
  let x = tf.layers.conv2d({ filters: 4, kernelSize: 3, strides: 2, padding: "valid", useBias: false, name: "stem" }).apply(i);
  x = tf.layers.batchNormalization({ name: "stem_bn", epsilon: 1e-3 }).apply(x);
  x = tf.layers.activation({ activation: "relu" }).apply(x);
  let y = tf.layers.separableConv2d({ filters: 4, kernelSize: 3, padding: "same", name: "sep", useBias: true }).apply(x);
  y = tf.layers.batchNormalization({}).apply(y);
  x = tf.layers.add({}).apply([x, y]);
  x = tf.layers.maxPooling2d({ poolSize: 3, strides: 2, padding: "same" }).apply(x);
  x = tf.layers.globalAveragePooling2d({}).apply(x);
  x = tf.layers.dense({ units: 3, activation: "softmax", name: "predictions" }).apply(x);
  const model = tf.model({ inputs: i, outputs: x });
  let n = 0;
  model.setWeights(model.getWeights().map((w) => { n++; const d = Float32Array.from({ length: w.size }, (_, k) => (/variance/.test(model.weights[n-1].name) ? 1.1 : 0) + Math.sin(n * 1.7 + k * 0.9) * 0.8); return tf.tensor(d, w.shape); }));
  const input = tf.tensor(Float32Array.from({ length: 2 * 12 * 10 * channels }, (_, k) => Math.sin(k * 0.37)), [2, 12, 10, channels]);
  const out = model.predict(input);
  let art; await model.save(tf.io.withSaveHandler(async (a) => { art = a; return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" } }; }));
  const bytes = Buffer.from(art.weightData instanceof ArrayBuffer ? art.weightData : tf.io.CompositeArrayBuffer.join(art.weightData));
  const dir = process.argv[2]; fs.mkdirSync(dir, { recursive: true });
  const cut = 401;
  fs.writeFileSync(dir + "/weights-1.bin", bytes.subarray(0, cut)); fs.writeFileSync(dir + "/weights-2.bin", bytes.subarray(cut));
  const { modelTopology, weightSpecs, weightData, ...rest } = art;
  const json = { modelTopology, ...JSON.parse(JSON.stringify(rest)), weightsManifest: [{ paths: ["weights-1.bin", "weights-2.bin"], weights: weightSpecs }] };
  fs.writeFileSync(dir + "/model.json", JSON.stringify(json));
  fs.writeFileSync(dir + "/outputs.json", JSON.stringify({ tfjs: tf.version.tfjs, input: "sin(0.37 k)", shape: [2, 12, 10, channels], outputs: await out.array() }));
  console.log(bytes.length, tf.version.tfjs, weightSpecs.map((s) => s.name), Object.keys(json), typeof modelTopology);
})();
