import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { folderDataset } from "../../src/data/dataset.ts";
import { writeLegacyWeights } from "../../src/formats/keras/writer.ts";
import { initializeWeights } from "../../src/graph/initialize.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { createOptimizer } from "../../src/learning/optimizers.ts";
import { weightsTargets } from "../../src/model/formats.ts";
import { decodeModel } from "../../src/model/model-file.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { sameLayers } from "../../src/models/layer-list.ts";
import { architectureNamed, buildNetwork, optionsOf } from "../../src/models/registry.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { cachedDownloads } from "../../src/runtime/node/downloads.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { train } from "../../src/train/train.ts";
import { smallModel } from "../model/small-model.ts";
import { startingWeights } from "../model/starting-weights.ts";
import { type LocalServer, serve } from "../runtime/local-server.ts";
import { capture } from "./capture.ts";
import { smallTraining, writeImages } from "./train-fixtures.ts";

const small = { inputShape: [71, 71, 3], width: 0.01, middleFlowRepeats: 0, classes: 2 } as const;
const body = xception({ ...small, includeTop: false });

let data: string;
let work: string;
let published: Uint8Array;
let server: LocalServer;

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), "xception-weights-data-"));
  await writeImages(join(data, "photos"), 3, 1);
  published = await writeLegacyWeights({ network: body, weights: syntheticWeights(body) });
});
afterAll(() => rm(data, { recursive: true }));
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "xception-weights-"));
  server = await serve(published);
});
afterEach(async () => {
  server.close();
  vi.unstubAllEnvs();
  await rm(work, { recursive: true });
});

const trainWith = (...flags: string[]) =>
  capture(["train", join(data, "photos"), "-o", join(work, "run"), ...smallTraining, "--epochs", "1", ...flags]);

test("training starts from the weights of an address, with a classifier of its own, and downloads once", async () => {
  // Steps so small that the weights stay where they are.
  const flags = [
    "--weights",
    server.url,
    "--cache-dir",
    join(work, "cache"),
    "--seed",
    "4",
    "--learning-rate",
    "1e-30",
  ];
  const { exitCode, stderr } = await trainWith(...flags, "--optimizer", "sgd", "--weight-decay", "0");
  expect(exitCode).toBe(0);
  expect(stderr).toContain(
    "Starting from 90 weights of the h5 weights; reinitialized: predictions/kernel, predictions/bias\n",
  );
  expect(stderr).toMatch(/^download, MB: \d\.\d\/\d\.\d$/m);
  const { weights, provenance } = decodeModel(await readFile(join(work, "run/model.onnx")), "model.onnx");
  const formula = syntheticWeights(body);
  expect(weights.get("block1_conv1/kernel")).toEqual(formula.get("block1_conv1/kernel"));
  expect(weights.get("block14_sepconv2/pointwise_kernel")).toEqual(formula.get("block14_sepconv2/pointwise_kernel"));
  const fresh = initializeWeights(xception({ ...small, seed: 4 }));
  expect(weights.get("predictions/kernel")).toEqual(fresh.get("predictions/kernel"));
  expect(provenance).toMatchObject({ start: { file: "weights.h5", format: "h5 weights", tensors: 90 } });
  expect(await readdir(join(work, "cache"))).toHaveLength(1);

  const again = await trainWith(...flags, "--offline", "--overwrite");
  expect(again.exitCode).toBe(0);
  expect(again.stderr).not.toContain("download");
  expect(server.requests).toEqual(["whole"]);
});

test.each([
  ["xception", "xception", "b0042744bf5b25fce3cb969f33bebb97"],
  ["inception-v3", "inception_v3", "bcbd6486424b2319ff4ef7d526e38f63"],
])(
  "imagenet of %s comes from the mirror, and what is no file of Keras's is told by its MD5",
  async (name, prefix, known) => {
    vi.stubEnv("XCEPTION_WEIGHTS_URL", new URL(".", server.url).href);
    vi.stubEnv("XDG_CACHE_HOME", work);
    const flags = ["--architecture", name, "--image-size", "75", "--weights", "imagenet"];
    const repeats = smallTraining.indexOf("--middle-flow-repeats");
    const training = smallTraining.toSpliced(repeats, 2);
    const { exitCode, stderr } = await capture([
      "train",
      join(data, "photos"),
      "-o",
      join(work, "run"),
      ...training,
      ...flags,
    ]);
    expect(exitCode).toBe(1);
    const file = `${prefix}_weights_tf_dim_ordering_tf_kernels_notop.h5`;
    const md5 = createHash("md5").update(published).digest("hex");
    expect(stderr).toContain(
      `download of ${new URL(file, server.url).href}: the file received has ` +
        `the MD5 ${md5} instead of ${known}. To work without a download, get the file elsewhere and ` +
        `put it at ${join(work, "xception-ts", file)}. Its MD5 is ${known}.`,
    );
    expect(await readdir(work)).not.toContain("run");
  },
);

test("imagenet without a network, and offline", async () => {
  vi.stubEnv("XDG_CACHE_HOME", work);
  server.close();
  vi.stubEnv("XCEPTION_WEIGHTS_URL", new URL(".", server.url).href);
  expect((await trainWith("--weights", "imagenet")).stderr).toContain(
    "the server cannot be reached (connect ECONNREFUSED",
  );
  vi.stubEnv("XCEPTION_OFFLINE", "1");
  vi.stubEnv("XCEPTION_WEIGHTS_URL", "");
  const { stderr } = await trainWith("--weights", "imagenet");
  expect(stderr).toContain(
    "download of https://storage.googleapis.com/tensorflow/keras-applications/xception/" +
      "xception_weights_tf_dim_ordering_tf_kernels_notop.h5: it is not in the cache, and downloads are switched off.",
  );
});

/** Reads from a mirror of the published weights, whose file has an MD5 of its own. */
function mirrored() {
  const md5 = createHash("md5").update(published).digest("hex");
  const downloads = cachedDownloads({ cacheFolder: work, mirror: new URL(".", server.url).href });
  const read = (address: string) => downloads.read(address.replace(/#md5=.*/, `#md5=${md5}`));
  return { downloads: { ...downloads, read } };
}

test("a stand-in for the published weights goes all the way into a network of other classes", async () => {
  const network = xception({ ...small, seed: 7 });
  const { weights, report } = await startingWeights(network, "imagenet", mirrored());
  expect(report).toEqual({
    by: "name",
    taken: 90,
    initialized: ["predictions/kernel", "predictions/bias"],
    missing: ["predictions/kernel", "predictions/bias"],
    unexpected: [],
    wrongShape: [],
  });
  for (const [name, tensor] of syntheticWeights(body)) expect(weights.get(name)).toEqual(tensor);
  expect(await readdir(work)).toEqual(["xception_weights_tf_dim_ordering_tf_kernels_notop.h5"]);
});

test("the license and origin of the published weights come along", async () => {
  const { origin } = await startingWeights(xception(small), "imagenet", mirrored());
  expect(origin).toEqual({
    license: "MIT",
    provenance: {
      weights: "keras.applications.Xception, trained on ImageNet",
      source: "https://storage.googleapis.com/tensorflow/keras-applications/xception/",
    },
  });

  const model = smallModel({ ...small, classes: 3 });
  await writeFile(join(work, "body.onnx"), encodeModel({ ...model, ...origin } as typeof model));
  expect((await trainWith("--weights", join(work, "body.onnx"))).exitCode).toBe(0);
  const start = { file: "body.onnx", format: "model file", tensors: 90, ...origin };
  expect(decodeModel(await readFile(join(work, "run/model.onnx"))).provenance).toMatchObject({ start });
  for (const name of ["there.keras", "there.weights.h5", "there.json"]) {
    const there = join(work, name);
    expect((await capture(["convert", join(work, "run/model.onnx"), there])).exitCode).toBe(0);
    expect((await capture(["convert", there, join(work, "back.onnx"), "--overwrite"])).exitCode).toBe(0);
    expect(await readFile(join(work, "back.onnx"))).toEqual(await readFile(join(work, "run/model.onnx")));
  }
});

test("train() takes imagenet by name", async () => {
  const platform = { ...nodePlatform, ...mirrored() };
  const dataset = folderDataset(await nodePlatform.files.list(join(data, "photos")));
  const { weights } = await train(dataset, {
    platform,
    weights: "imagenet",
    network: { family: "xception", options: small },
    // Steps so small that the weights stay where they are.
    learningRate: 1e-30,
    optimizer: createOptimizer("sgd", { weightDecay: 0 }),
    epochs: 1,
  });
  const formula = syntheticWeights(body);
  for (const name of ["block1_conv1/kernel", "block14_sepconv2/pointwise_kernel"]) {
    expect(weights.get(name)).toEqual(formula.get(name));
  }
});

/** Nothing about the network. */
const shortTraining = ["--batch-size", "4", "--epochs", "1"];

describe("a file that says which network it is of", () => {
  const shape = { inputShape: [71, 71, 3], width: 0.01, middleFlowRepeats: 0 } as const;
  const options = { ...shape, classes: 3, variant: "tutorial", fcUnits: [5], dropout: 0.25 } as const;
  const run = (...flags: string[]) =>
    capture(["train", join(data, "photos"), "-o", join(work, "run"), ...shortTraining, ...flags]);
  const written = async () => decodeModel(await readFile(join(work, "run/model.onnx"))).architecture;
  beforeEach(() => writeFile(join(work, "own.onnx"), encodeModel(smallModel(options))));

  test.each(["own.onnx", "own.keras", "own.json"])("%s is trained as it is, and resumed", async (name) => {
    const file = join(work, name);
    if (name !== "own.onnx") expect((await capture(["convert", join(work, "own.onnx"), file])).exitCode).toBe(0);
    const { exitCode, stderr } = await run("--weights", file);
    expect(exitCode).toBe(0);
    expect(stderr).toContain(
      "; as in the file: image size 71, variant tutorial, width 0.01, dropout 0.25, fc units 5, middle flow repeats 0; reinitialized: dense/kernel (5×3 instead of 5×2), dense/bias (3 instead of 2)\n",
    );
    expect(await written()).toMatchObject({ family: "xception", options: { ...options, classes: 2 } });
    const again = await capture(["train", "--resume", "-o", join(work, "run")]);
    expect(again.stderr).toContain("is complete after 1 epoch:");
  });

  test("a model whose classifier stands on an earlier block is trained on", async () => {
    await writeFile(join(work, "own.onnx"), encodeModel(smallModel({ ...options, variant: "paper" })));
    const begun = await run("--weights", join(work, "own.onnx"), "--head-on", "block4");
    expect(begun.stderr).toContain("the classifier is on add_2, and later layers are left out");
    const first = await written();
    expect(first.family).toBe("layers");
    await rename(join(work, "run/model.onnx"), join(work, "first.onnx"));
    const { exitCode, stderr } = await run("--weights", join(work, "first.onnx"), "--overwrite");
    expect(exitCode).toBe(0);
    expect(stderr).toContain(
      "; as in the file: image size 71, width 0.01, dropout 0.25, fc units 5, middle flow repeats 0, head on add_2; the classifier is on add_2, and later layers are left out\n",
    );
    expect(await written()).toEqual(first);
    const dataset = folderDataset(await nodePlatform.files.list(join(data, "photos")));
    const again = { platform: nodePlatform, weights: join(work, "first.onnx"), epochs: 1 };
    const { network } = await train(dataset, again);
    expect(sameLayers(network, buildNetwork(first))).toBe(true);
    expect((await capture(["train", "--resume", "-o", join(work, "run")])).stderr).toContain(
      "is complete after 1 epoch:",
    );
  });

  test("timm's weights bring their padding and epsilon along", async () => {
    const legacy = smallModel({ ...shape, ...optionsOf(architectureNamed("legacy_xception")) });
    const { bytes } = await weightsTargets.safetensors.write(legacy);
    await writeFile(join(work, "own.safetensors"), bytes);
    const { stderr } = await run("--weights", join(work, "own.safetensors"));
    expect(stderr).toContain("; as in the file: architecture legacy_xception, image size 71, width 0.01");
    expect(await written()).toMatchObject({
      options: { ...shape, ...optionsOf(architectureNamed("legacy_xception")) },
    });
  });

  test("a recipe does not know the network; size and dropout may be chosen", async () => {
    const { stderr } = await run("--weights", join(work, "own.onnx"), "--image-size", "75", "--dropout", "0.5");
    expect(stderr).toContain("; as in the file: variant tutorial, width 0.01, fc units 5, middle flow repeats 0;");
    expect(await written()).toMatchObject({ options: { inputShape: [75, 75, 3], dropout: 0.5 } });
    const recipe = ["--recipe", "paper-jft", "--image-size", "71", "--max-minutes", "0.0001", "--overwrite"];
    const jft = await run("--weights", join(work, "own.onnx"), ...recipe);
    expect(jft.stderr).toContain("as in the file: variant tutorial, width 0.01, fc units 5");
  });

  test("what contradicts it is refused, unless weights may be missing", async () => {
    const file = ["--weights", join(work, "own.onnx")];
    const wide = await run(...file, "--width", "0.5");
    expect(wide.exitCode).toBe(2);
    expect(wide.stderr).toContain(
      "option --width: the weights of own.onnx belong to another network; received 0.5; expected 0.01, as in the file. Leave it out, or list the weights to reinitialize with --allow-missing.",
    );
    await writeFile(join(work, "c.yaml"), "fcUnits: [7]\n");
    const config = await run(...file, "--config", join(work, "c.yaml"));
    expect(config.stderr).toContain(
      "c.yaml, fcUnits: the weights of own.onnx belong to another network; received [7]; expected 5, as in the file.",
    );
    const partial = await run(...file, "--fc-units", "7", "--allow-missing", "fc*,dense*");
    expect(partial.exitCode).toBe(0);
    expect(await written()).toMatchObject({ options: { fcUnits: [7], width: 0.01 } });
  });

  test("a detail without a setting is refused", async () => {
    await writeFile(join(work, "own.onnx"), encodeModel(smallModel({ ...options, batchNormEpsilon: 0.01 })));
    const { stderr, exitCode } = await run("--weights", join(work, "own.onnx"));
    expect(exitCode).toBe(2);
    expect(stderr).toContain(
      'weights of own.onnx: there is no setting for their network\'s "batchNormEpsilon"; received 0.01; expected 0.001. Train with the library: train(dataset, { network, weights }).',
    );
  });
});

test("refuses weights of another network, and --allow-missing without weights", async () => {
  await writeFile(join(work, "w.h5"), published);
  const wrong = await trainWith("--weights", join(work, "w.h5"), "--width", "0.02");
  expect(wrong.exitCode).toBe(1);
  expect(wrong.stderr).toMatch(
    /they are not the weights of this network; of another shape: block4_sepconv1\/pointwise_kernel \(1×1×8×8 instead of 1×1×8×16\)/,
  );
  const alone = await trainWith("--allow-missing", "*");
  expect(alone.exitCode).toBe(2);
  expect(alone.stderr).toContain(
    'option --allow-missing: there are no weights to start from; received "*". Add --weights.',
  );
});

test("training for int8 says in its report and card that validation was rounded", async () => {
  await writeFile(join(work, "start.h5"), published);
  const { exitCode, stderr } = await trainWith("--weights", join(work, "start.h5"), "--quantization-aware");
  expect(exitCode, stderr).toBe(0);
  const report = await readFile(join(work, "run", "report.html"), "utf8");
  expect(report).toContain("that of int8, also in validation; the model file has float32 weights");
  const card = await readFile(join(work, "run", "model.onnx.md"), "utf8");
  expect(card).toMatch(/validation images \(.*\); computed with the rounding of int8/);
});
