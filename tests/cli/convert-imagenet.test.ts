import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { writeLegacyWeights } from "../../src/formats/keras/writer.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { decodeModel } from "../../src/model/model-file.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { imagenetOrigin } from "../../src/model/published-weights.ts";
import { weightsSource } from "../../src/model/weights-file.ts";
import { imagenetLabels } from "../../src/models/imagenet-classes.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { encodePng } from "../../src/runtime/node/images.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { convert } from "../../src/tasks/convert.ts";
import { smallModel } from "../model/small-model.ts";
import { type LocalServer, serve } from "../runtime/local-server.ts";
import { capture } from "./capture.ts";

const network = xception({ inputShape: [71, 71, 3], width: 0.01, middleFlowRepeats: 0 });
const flags = ["--input-shape", "71x71x3", "--width", "0.01", "--middle-flow-repeats", "0"];

let folder: string;
let server: LocalServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-convert-"));
  server = await serve(await writeLegacyWeights({ network, weights: syntheticWeights(network) }));
});
afterEach(() => vi.unstubAllEnvs());
afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

test.each([
  ["by default, which is said", [], "note: It does not name its 1000 classes; they are assumed to be ImageNet's"],
  ["if asked for", ["--labels", "imagenet"], undefined],
])("weights of 1000 classes, from an address, get ImageNet's labels %s", async (_, more, note) => {
  const target = join(folder, `model${more.length}.onnx`);
  const argv = ["convert", server.url, target, "--cache-dir", join(folder, "cache"), ...flags, ...more];
  const { exitCode, stdout } = await capture(argv);
  expect(exitCode).toBe(0);
  expect(stdout.includes("It does not name its 1000 classes")).toBe(note !== undefined);
  if (note !== undefined) expect(stdout).toContain(note);
  const model = decodeModel(await readFile(target), target);
  expect(model.labels).toEqual(await imagenetLabels());
  expect(model.weights).toEqual(syntheticWeights(network));
});

test.each(["mirror/keras", "ftp://mirror/keras/"])("a mirror at %s is refused by its name", async (mirror) => {
  vi.stubEnv("XCEPTION_WEIGHTS_URL", mirror);
  const { exitCode, stderr } = await capture(["convert", "imagenet", join(folder, "refused.onnx")]);
  expect(exitCode).toBe(2);
  expect(stderr).toBe(
    `error: mirror of the ImageNet weights (XCEPTION_WEIGHTS_URL): this is not a URL; received "${mirror}"; expected the URL of a folder, http://… or https://….\n`,
  );
});

test("a model is read from its address by what uses models", async () => {
  const bytes = encodeModel(smallModel());
  const models = await serve(bytes);
  const address = `${models.url}#md5=${createHash("md5").update(bytes).digest("hex")}`;
  const more = ["--cache-dir", join(folder, "cache")];
  const image = join(folder, "gray.png");
  await writeFile(image, await encodePng({ width: 8, height: 8, data: new Uint8Array(192).fill(127) }));
  const classified = await capture(["classify", address, image, "--json", ...more]);
  const summary = await capture(["summary", address, "--json", ...more]);
  models.close();
  expect(JSON.parse(classified.stdout)[0].predictions).toHaveLength(3);
  const { license, labels, format } = JSON.parse(summary.stdout);
  expect({ license, labels, format }).toEqual({
    license: "CC0-1.0",
    labels: ["cat", "dog", "owl"],
    format: "model file",
  });
});

test("models made of the weights that Keras published say so, and under which license", async () => {
  const weights = await writeLegacyWeights({ network, weights: syntheticWeights(network) });
  const options = { inputShape: [71, 71, 3], width: 0.01, middleFlowRepeats: 0 } as const;
  const source = { ...(await weightsSource(weights, nodePlatform)), published: imagenetOrigin() };
  const converted = await convert(source, { to: "onnx", network: options });
  const { license, provenance } = decodeModel(converted.bytes, "model");
  expect(license).toBe("MIT");
  expect(provenance).toEqual({
    weights: "keras.applications.Xception, trained on ImageNet",
    source: "https://storage.googleapis.com/tensorflow/keras-applications/xception/",
  });
  // What a file says itself comes first.
  const own = { ...(await weightsSource(encodeModel(smallModel()), nodePlatform)), published: imagenetOrigin() };
  expect(decodeModel((await convert(own, { to: "onnx" })).bytes, "own").license).toBe("CC0-1.0");
});

test.each([
  [[], "xception/xception_weights_tf_dim_ordering_tf_kernels.h5", "0a58e3b7378bc2990ea3b43d5981f1f6"],
  [["--no-top"], "xception/xception_weights_tf_dim_ordering_tf_kernels_notop.h5", "b0042744bf5b25fce3cb969f33bebb97"],
  [["--classes", "5"], "xception/xception_weights_tf_dim_ordering_tf_kernels_notop.h5", ""],
  [["--classes", "1000"], "xception/xception_weights_tf_dim_ordering_tf_kernels.h5", ""],
  [
    ["--architecture", "inception-v3"],
    "inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels.h5",
    "9a0d58056eeedaa3f26cb7ebd46da564",
  ],
  [
    ["--architecture", "inception-v3", "--no-top"],
    "inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "bcbd6486424b2319ff4ef7d526e38f63",
  ],
])("imagenet is the published file: %j", async (more, path, md5) => {
  vi.stubEnv("XDG_CACHE_HOME", folder);
  const { exitCode, stderr } = await capture(["convert", "imagenet", join(folder, "new.onnx"), "--offline", ...more]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain(`/keras-applications/${path}: it is not in the cache, and downloads are switched off.`);
  const name = path.slice(path.indexOf("/") + 1);
  expect(stderr).toContain(`put it at ${join(folder, "xception-ts", name)}. Its MD5 is ${md5}`);
});

test("what imagenet is, is told without a download", async () => {
  vi.stubEnv("XDG_CACHE_HOME", folder);
  const summary = await capture(["summary", "imagenet", "--json", "--offline"]);
  const { format, params, labels, license, preprocessing } = JSON.parse(summary.stdout);
  expect({ format, params, license }).toEqual({
    format: "Keras's published weights",
    params: { total: 22_910_480, trainable: 22_855_952, nonTrainable: 54_528 },
    license: "MIT",
  });
  expect(labels.slice(0, 2)).toEqual(["tench", "goldfish"]);
  expect(preprocessing).toMatchObject({ scale: 1 / 127.5, offset: -1 });
  expect((await capture(["summary", "imagenet", "--offline"])).stdout).toContain("license     MIT\n");
  expect((await capture(["cost", "imagenet", "--offline"])).stdout).toContain('Cost of "xception"');
  const inception = await capture(["summary", "imagenet", "--architecture", "inception-v3", "--json"]);
  expect(JSON.parse(inception.stdout)).toMatchObject({
    params: { total: 23_851_784 },
    provenance: { weights: "keras.applications.InceptionV3, trained on ImageNet" },
  });
  const none = await capture(["summary", "imagenet", "--architecture", "xception41"]);
  expect(none.stderr).toBe(
    'error: weights imagenet: Keras has not published any for this architecture; received "xception41"; expected ' +
      "xception or inception-v3. `xception weights` lists those of others.\n",
  );
  const refused = await capture(["summary", "imagenet", "--classes", "5"]);
  expect(refused.stderr).toContain('allowed with a file; received "--classes"');
});
