import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { xception } from "../../src/models/xception.ts";
import { addressReader } from "../../src/runtime/node-addresses.ts";
import { decodeModel } from "../../src/tasks/model-file.ts";
import { startingWeights } from "../../src/tasks/starting-weights.ts";
import { formulaWeights } from "../../src/weights/formula.ts";
import { initializeWeights } from "../../src/weights/initialize.ts";
import { writeLegacyWeights } from "../../src/weights/keras-hdf5-writer.ts";
import { type LocalServer, serve } from "../runtime/local-server.ts";
import { capture } from "./capture.ts";
import { smallTraining, writePictures } from "./train-fixtures.ts";

const small = { inputShape: [71, 71, 3], width: 0.01, middleFlowRepeats: 0, classes: 2 } as const;
const body = xception({ ...small, includeTop: false });

let data: string;
let work: string;
let published: Uint8Array;
let server: LocalServer;

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), "xception-weights-data-"));
  await writePictures(join(data, "photos"), 3, 1);
  published = await writeLegacyWeights({ network: body, weights: formulaWeights(body) });
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
    "Starting from 90 weights of the h5 weights; these start anew: predictions/kernel, predictions/bias\n",
  );
  expect(stderr).toMatch(/^download, MB: \d\.\d\/\d\.\d$/m);
  const { weights, provenance } = decodeModel(await readFile(join(work, "run/model.onnx")), "model.onnx");
  const formula = formulaWeights(body);
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

test("imagenet comes from the mirror, and what is no file of Keras's is told by its MD5", async () => {
  vi.stubEnv("XCEPTION_WEIGHTS_URL", new URL(".", server.url).href);
  vi.stubEnv("XDG_CACHE_HOME", work);
  const { exitCode, stderr } = await trainWith("--weights", "imagenet");
  expect(exitCode).toBe(1);
  const md5 = createHash("md5").update(published).digest("hex");
  expect(stderr).toContain(
    `download of ${new URL("xception_weights_tf_dim_ordering_tf_kernels_notop.h5", server.url).href}: what was received has ` +
      `the MD5 ${md5} instead of b0042744bf5b25fce3cb969f33bebb97. To do without a download, get the file some other way and ` +
      `put it at ${join(work, "xception-ts/xception_weights_tf_dim_ordering_tf_kernels_notop.h5")}. Its MD5 is b0042744bf5b25fce3cb969f33bebb97.`,
  );
  expect(await readdir(work)).not.toContain("run");
});

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

test("a stand-in for the published weights goes all the way into a network of other classes", async () => {
  const md5 = createHash("md5").update(published).digest("hex");
  const readFile = addressReader({ cacheFolder: work });
  const network = xception({ ...small, seed: 7 });
  const imagenet = { mirror: new URL(".", server.url).href, md5 };
  const { weights, report } = await startingWeights(network, "imagenet", { readFile }, { imagenet });
  expect(report).toEqual({
    by: "name",
    taken: 90,
    missing: ["predictions/kernel", "predictions/bias"],
    unexpected: [],
    wrongShape: [],
  });
  for (const [name, tensor] of formulaWeights(body)) expect(weights.get(name)).toEqual(tensor);
  expect(await readdir(work)).toEqual(["xception_weights_tf_dim_ordering_tf_kernels_notop.h5"]);
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
    'option --allow-missing: there are no weights that it could be about; received "*". Add --weights.',
  );
});
