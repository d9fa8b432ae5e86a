import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parse } from "yaml";
import { encodeModel } from "../../src/model/model-writer.ts";
import { convert, nodePlatform, saveModel } from "../../src/node.ts";
import { cardMarkdown } from "../../src/tasks/card/card.ts";
import { openSubject } from "../../src/tasks/card/subject.ts";
import { capture } from "../cli/capture.ts";
import { smallModel } from "../model/small-model.ts";

/** The part of `model.json` that names the other files. */
interface TfjsModel {
  readonly weightsManifest: readonly { readonly paths: readonly string[] }[];
}

let folder: string;
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "card-"));
});
afterAll(() => rm(folder, { recursive: true }));

const small = smallModel();
const provenance = {
  program: "xception-ts 0.1.0",
  recipe: { epochs: 5, batchSize: 8, schedule: "cosine" },
  data: {
    training: { folder: "pets/train", images: { cat: 40, dog: 50, owl: 60 } },
    validation: { folder: "pets/validation", images: { cat: 3, dog: 4, owl: 3 } },
  },
  start: { weights: "timm/legacy_xception.tf_in1k@main", source: "hf://timm/legacy_xception.tf_in1k", license: "MIT" },
  validation: { images: 10, top1: 0.9, top5: 1, loss: 0.25, expectedCalibrationError: 0.0625, temperature: 1.5 },
};
const trained = { ...small, provenance };

/** A card's metadata, and its text without the last line. */
async function cardOf(path: string, options = {}) {
  const text = await cardMarkdown(await openSubject(path, nodePlatform, options));
  const [, head, body] = /^---\n(.*?)---\n\n(.*)\n<!-- xception-ts replaces [^\n]*\n$/s.exec(text)!;
  return { head: parse(head!), body: body! };
}

it("has Hugging Face's metadata of a trained model", async () => {
  const bytes = encodeModel(trained);
  await writeFile(at("pets.onnx"), bytes);
  const { head, body } = await cardOf(at("pets.onnx"));
  expect(head).toEqual({
    license: "cc0-1.0",
    library_name: "xception-ts",
    pipeline_tag: "image-classification",
    tags: ["image-classification", "xception", "onnx"],
    datasets: ["imagenet-1k"],
    base_model: "timm/legacy_xception.tf_in1k",
    "model-index": [
      {
        name: "xception",
        results: [
          {
            task: { type: "image-classification" },
            dataset: { type: "imagefolder", name: "pets/validation", split: "validation" },
            metrics: [
              { type: "accuracy", name: "Top-1 accuracy", value: 0.9 },
              { type: "loss", name: "Cross-entropy, nats per image", value: 0.25 },
              { type: "expected_calibration_error", name: "Expected calibration error, 15 bins", value: 0.0625 },
            ],
          },
        ],
      },
    ],
  });
  expect(body).toContain(createHash("sha256").update(bytes).digest("hex"));
  const [shown] = body.split("## How to use it");
  expect(shown).toMatchInlineSnapshot(`
    "# pets.onnx: xception

    A network that classifies images: 3 classes. xception-ts wrote this card from what the file contains.

    ## Model

    - **Network**: xception
    - **Parameters**: 33,499
    - **Images**: 71×80 pixels, RGB
    - **Resizing**: stretched to this size, by the image decoder; background rgb(255, 255, 255)
    - **Scaling**: pixel · 0.00784313725490196 - 1
    - **Format**: model file
    - **Made with**: xception-ts 0.1.0

    ## Classes

    cat, dog, owl

    ## Data

    Labeled images of each class

    | Class | training (pets/train) | validation (pets/validation) |
    | --- | ---: | ---: |
    | cat | 40 | 3 |
    | dog | 50 | 4 |
    | owl | 60 | 3 |
    | all | 150 | 10 |

    ## Training

    - **start.weights**: timm/legacy_xception.tf_in1k@main
    - **start.source**: hf://timm/legacy_xception.tf_in1k
    - **start.license**: MIT

    Settings of the run

    | Setting | Value |
    | --- | --- |
    | epochs | 5 |
    | batchSize | 8 |
    | schedule | cosine |

    ## Metrics

    10 validation images (pets/validation); they also chose the epoch, which favors them

    | Metric | Value | 95 % interval |
    | --- | ---: | ---: |
    | Top-1 accuracy | 90.0 % | 59.6 % to 98.2 % |
    | Cross-entropy, nats per image | 0.25 |  |
    | Expected calibration error, 15 bins | 6.3 % |  |

    Intervals are Wilson's; they cover the choice of the images, not that of the training run.

    ## Calibration

    On average, the top probability differs by 6.3 percentage points from the share of correct predictions.

    The network is overconfident on them: a temperature of 1.5, not applied in this file, would calibrate it best.

    Probabilities sum to 1: an image of none of the classes is assigned to one of them, too, often with confidence.

    ## License

    Of the weights: CC0-1.0.

    The weights that training started from are under MIT.

    "
  `);
});

it("says what a model of another tool does not state, and invents nothing", async () => {
  const { head, body } = await cardOf("tests/golden/formats/torch-plain.onnx");
  expect(head).toEqual({
    license: "unknown",
    library_name: "xception-ts",
    pipeline_tag: "image-classification",
    tags: ["image-classification", "onnx"],
  });
  const [shown] = body.split("## How to use it");
  expect(shown).toMatchInlineSnapshot(`
    "# torch-plain.onnx

    A network that classifies images: 5 classes. xception-ts wrote this card from what the file contains.

    ## Model

    - **Network**: a graph of operators, without layers
    - **Parameters**: 597
    - **Images**: 21×19 pixels, RGB
    - **Resizing**: stretched to this size, by bicubic interpolation; background rgb(255, 255, 255)
    - **Scaling**: pixel · 0.00784313725490196 - 1
    - **Format**: ONNX graph of another tool

    Assumed or changed: The graph of another tool runs as it is. It ends without a softmax; one was applied to its outputs. The file does not specify preprocessing; pixel/127.5 - 1 is assumed, as in keras.applications; images are stretched to 21×19 by bicubic interpolation. It does not name its classes; they are numbered.

    ## Classes

    0, 1, 2, 3, 4

    ## Data

    The file does not state what data the model was trained on.

    ## Training

    The file does not state how the model was trained.

    ## Metrics

    The file does not state how well the model does. To find out: xception evaluate.

    ## Calibration

    The file does not state how well its probabilities are calibrated.

    ## License

    The file does not state a license of the weights.

    "
  `);
  expect(body).not.toContain("onnxruntime-web");
});

it("describes a network without a classifier, and how to get features from it", async () => {
  const headless = await convert(encodeModel(small), {
    to: "tfjs",
    network: { includeTop: false },
    allowMissing: "predictions/*",
  });
  for (const [name, bytes] of [["features.json", headless.bytes], ...headless.beside] as const)
    await writeFile(at(name), bytes);
  const { head, body } = await cardOf(at("features.json"));
  expect(head).toMatchObject({
    pipeline_tag: "image-feature-extraction",
    tags: ["image-feature-extraction", "xception", "tfjs"],
  });
  expect(body).toContain("A network that extracts features of images.");
  expect(body).toContain("xception embed features.json photo.jpg -o embeddings.csv");
  expect(body).not.toContain("## Classes");
});

it("says that a fitted temperature is part of the weights", async () => {
  const calibration = { temperature: 1.25, images: 1200, errorBefore: 0.08, errorAfter: 0.02 };
  await writeFile(at("calibrated.onnx"), encodeModel({ ...small, provenance: { ...provenance, calibration } }));
  const { body } = await cardOf(at("calibrated.onnx"));
  expect(body).toContain(
    "The weights contain a temperature of 1.25, fitted to 1,200 images; on them it changes the expected calibration error from 8.0 % to 2.0 %. Losses and calibration errors above are those without it.\n",
  );
  expect(body).not.toContain("not applied in this file");
  expect(body).not.toContain("calibration.temperature");
});

it("escapes markup in names, and lists at most 100 classes", async () => {
  const labels = ["<script>", "[a](b)", "`c|d`", "*e*", "_f_", "g_h", "&amp;", "i\u001bj"];
  const more = smallModel({ classes: 120 });
  const all = [...labels, ...Array.from({ length: 112 }, (_, index) => `class ${index}`)];
  await writeFile(at("many.onnx"), encodeModel({ ...more, labels: all }));
  const { body } = await cardOf(at("many.onnx"));
  expect(body).toContain(
    "## Classes\n\n\\<script\\>, \\[a\\](b), \\`c\\|d\\`, \\*e\\*, \\_f\\_, g_h, \\&amp;, i\\\\u001bj, class 0, ",
  );
  expect(body).toContain(", class 91 … and 20 more, all in the file\n");
});

it("is written beside a model, and never over text that someone wrote", async () => {
  const work = await mkdtemp(join(folder, "beside-"));
  const model = join(work, "m.onnx");
  const card = join(work, "m.onnx.md");
  await saveModel(model, trained);
  expect((await readdir(work)).sort()).toEqual(["m.onnx", "m.onnx.md"]);
  const first = await readFile(card, "utf8");
  expect(first).toBe(await cardMarkdown(await openSubject(model, nodePlatform)));
  // Unedited, even by a program that changes line ends.
  await writeFile(card, first.replaceAll("\n", "\r\n"));
  await saveModel(model, { ...trained, license: "MIT" });
  expect(await readFile(card, "utf8")).toContain("Of the weights: MIT.");

  const edited = (await readFile(card, "utf8")).replace("Of the weights", "Edited");
  await writeFile(card, edited);
  await saveModel(model, trained);
  expect(await readFile(card, "utf8")).toBe(edited);
  const { exitCode, stderr } = await capture(["convert", model, model, "--overwrite"]);
  expect(exitCode).toBe(0);
  expect(stderr).toBe(
    `The card ${card} has been edited and is kept; for a new one, remove it: xception card ${model}\n`,
  );
  expect(await readFile(card, "utf8")).toBe(edited);
});

it("of a converted file is the card that the file itself gives; all its files have a checksum", async () => {
  const model = at("from.onnx");
  await writeFile(model, encodeModel(trained));
  for (const name of ["to.h5", "to.json", "to.safetensors", "to.onnx"]) {
    const { exitCode, stdout } = await capture(["convert", model, at(name), "--json"]);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout).card).toBe(at(`${name}.md`));
    const { head, body } = await cardOf(at(name));
    const written = await readFile(at(`${name}.md`), "utf8");
    const plain = written.replace("safetensors of timm", "safetensors").replace(/Assumed or changed: .*\n\n/, "");
    expect(plain).toContain(body);
    expect(head.license).toBe("cc0-1.0");
  }
  const card = await readFile(at("to.json.md"), "utf8");
  const shards = (JSON.parse(await readFile(at("to.json"), "utf8")) as TfjsModel).weightsManifest[0]!.paths;
  expect(shards.length).toBeGreaterThan(0);
  for (const name of ["to.json", ...shards]) {
    const digest = createHash("sha256")
      .update(await readFile(at(name)))
      .digest("hex");
    expect(card).toMatch(new RegExp(`\\| ${name.replaceAll(".", "\\.")} \\| .* \\| \`${digest}\` \\|`));
  }
});

it("xception card prints or writes it, with the flags of the model in its commands", async () => {
  const flags = ["--preprocess", "scale01", "--fit", "cover"];
  const printed = await capture(["card", "tests/golden/formats/torch-plain.onnx", ...flags]);
  expect(printed.exitCode).toBe(0);
  expect(printed.stdout).toContain("xception classify torch-plain.onnx photo.jpg --preprocess scale01 --fit cover\n");
  expect(printed.stdout).toContain('loadClassifier("torch-plain.onnx", {"preprocess":"scale01","fit":"cover"})');

  const keras = await capture(["card", "tests/golden/formats/small.keras", ...flags, "-o", at("card.md")]);
  expect(keras).toMatchObject({ exitCode: 0, stdout: "", stderr: `Wrote ${at("card.md")}\n` });
  expect(await readFile(at("card.md"), "utf8")).toContain(
    "xception convert small.keras small.onnx --preprocess scale01 --fit cover\nxception classify small.onnx photo.jpg\n",
  );
  const again = await capture(["card", "tests/golden/formats/small.keras", "-o", at("card.md")]);
  expect(again).toMatchObject({
    exitCode: 2,
    stderr: `error: option --output: the file already exists; received "${at("card.md")}". Add --overwrite to replace it.\n`,
  });

  await writeFile(at("pets.onnx"), encodeModel(trained));
  const json = JSON.parse((await capture(["card", at("pets.onnx"), "--json"])).stdout);
  expect(json.metrics[0]).toMatchObject({ split: "validation", type: "accuracy", value: 0.9, images: 10 });
  expect(json).toMatchObject({ license: "CC0-1.0", labels: ["cat", "dog", "owl"], inputShape: [71, 80, 3] });
  expect(json.files).toEqual([
    { name: "pets.onnx", bytes: expect.any(Number), sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
  ]);
});

it("lists classes in the model's order, whatever they are called", async () => {
  const data = {
    training: { folder: "a", images: { 1: 4, "01": 3, constructor: 5 } },
    test: { folder: "b", images: { 1: 2 } },
  };
  await writeFile(at("odd.onnx"), encodeModel({ ...small, labels: ["01", "1", "constructor"], provenance: { data } }));
  const { body } = await cardOf(at("odd.onnx"));
  expect(body.match(/^\| (?:01|1|constructor|all) .*$/gm)).toEqual([
    "| 01 | 3 | 0 |",
    "| 1 | 4 | 2 |",
    "| constructor | 5 | 0 |",
    "| all | 12 | 2 |",
  ]);
});

it("does not add up labels where an image may have several", async () => {
  const several = { ...smallModel({ classifierActivation: "sigmoid" }), provenance };
  await writeFile(at("several.onnx"), encodeModel(several));
  const { body } = await cardOf(at("several.onnx"));
  expect(body).toContain("| owl | 60 | 3 |");
  expect(body).not.toContain("| all |");
});
