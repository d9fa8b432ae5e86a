import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { imagenetLabels } from "../../src/models/imagenet-classes.ts";
import { xception } from "../../src/models/xception.ts";
import { decodeModel } from "../../src/tasks/model-file.ts";
import { formulaWeights } from "../../src/weights/formula.ts";
import { writeLegacyWeights } from "../../src/weights/keras-hdf5-writer.ts";
import { type LocalServer, serve } from "../runtime/local-server.ts";
import { capture } from "./capture.ts";

const network = xception({ inputShape: [71, 71, 3], width: 0.01, middleFlowRepeats: 0 });
const flags = ["--input-shape", "71x71x3", "--width", "0.01", "--middle-flow-repeats", "0"];

let folder: string;
let server: LocalServer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-convert-"));
  server = await serve(await writeLegacyWeights({ network, weights: formulaWeights(network) }));
});
afterEach(() => vi.unstubAllEnvs());
afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

test.each([
  ["by default, which is said", [], "note: It does not name its 1000 classes either; they were taken for ImageNet's"],
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
  expect(model.weights).toEqual(formulaWeights(network));
});

test.each([
  [[], "xception_weights_tf_dim_ordering_tf_kernels.h5"],
  [["--no-top"], "xception_weights_tf_dim_ordering_tf_kernels_notop.h5"],
])("imagenet is the published file: %j", async (more, name) => {
  vi.stubEnv("XDG_CACHE_HOME", folder);
  const { exitCode, stderr } = await capture(["convert", "imagenet", join(folder, "new.onnx"), "--offline", ...more]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain(
    `/keras-applications/xception/${name}: it is not in the cache, and downloads are switched off.`,
  );
  expect(stderr).toContain(`put it at ${join(folder, "xception-ts", name)}. Its MD5 is `);
});
