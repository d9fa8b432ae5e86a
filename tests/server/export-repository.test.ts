import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { encodeModel } from "../../src/model/model-writer.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { loadClassifier } from "../../src/tasks/evaluate/classifier.ts";
import { capture } from "../cli/capture.ts";
import { smallModel } from "../model/small-model.ts";
import manifests from "./kubernetes-schemas.json" with { type: "json" };
import { noisePng } from "./noise-png.ts";

let folder: string;
let model: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-export-"));
  model = join(folder, "Small Model.onnx");
  await writeFile(model, encodeModel(smallModel()));
});
afterAll(() => rm(folder, { recursive: true }));

it.each([
  ["triton", ["deployment", "service", "horizontalpodautoscaler", "poddisruptionbudget"]],
  ["kserve", ["inferenceservice", "poddisruptionbudget"]],
])("writes a repository for %s, whose manifests fit their schemas", async (target, kinds) => {
  const out = join(folder, target);
  const flags = ["--max-batch-size", "16", "--preferred-batch-size", "4,8", "--max-queue-delay-microseconds", "100"];
  flags.push("--instance-count", "2");
  const { exitCode, stderr } = await capture(["export-repository", model, out, "--for", target, ...flags]);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  const ajv = new Ajv2020({ strict: false });
  const files = await readdir(join(out, "kubernetes"));
  expect(files.sort()).toEqual(kinds.map((kind) => `${kind}.yaml`).sort());
  for (const file of files) {
    const [document] = parseAllDocuments(await readFile(join(out, "kubernetes", file), "utf8"));
    expect(document!.errors).toEqual([]);
    const manifest = document!.toJS() as { kind: keyof typeof manifests };
    const validate = ajv.compile(manifests[manifest.kind]);
    expect(validate(manifest), JSON.stringify(validate.errors)).toBe(true);
  }
  const inside = join(out, "model_repository", "small-model");
  expect(await readFile(join(inside, "config.pbtxt"), "utf8")).toBe(`name: "small-model"
backend: "onnxruntime"
max_batch_size: 16
instance_group [{ count: 2 }]
input [{ name: "images", data_type: TYPE_UINT8, dims: [ 71, 80, 3 ] }]
output [{ name: "predictions", data_type: TYPE_FP32, dims: [ 3 ], label_filename: "labels.txt" }]
dynamic_batching {
  preferred_batch_size: [ 4, 8 ]
  max_queue_delay_microseconds: 100
  default_queue_policy {
    timeout_action: REJECT
    default_timeout_microseconds: 30000000
    allow_timeout_override: true
    max_queue_size: 128
  }
}
`);
  expect(await readFile(join(inside, "labels.txt"), "utf8")).toBe("cat\ndog\nowl\n");
  const image = await noisePng(1);
  await using original = await loadClassifier(model, { platform: nodePlatform });
  await using exported = await loadClassifier(join(inside, "1", "model.onnx"), { platform: nodePlatform });
  expect(await exported.classify(image)).toEqual(await original.classify(image));
  expect(await readFile(join(out, "Dockerfile"), "utf8")).toContain("COPY model_repository /models");
  const again = await capture(["export-repository", model, out, "--for", target]);
  expect([again.exitCode, again.stderr]).toEqual([2, expect.stringContaining("the file already exists")]);
});

it("refuses a name that Kubernetes would not take", async () => {
  const flags = ["--for", "triton", "--name", "Small_Model"];
  const { exitCode, stderr } = await capture(["export-repository", model, join(folder, "other"), ...flags]);
  expect([exitCode, stderr]).toEqual([
    2,
    'error: option --name: this is not a name of Kubernetes objects; received "Small_Model"; ' +
      "expected up to 63 lower-case letters, digits and hyphens, the first one a letter.\n",
  ]);
});
