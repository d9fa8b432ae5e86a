/**
 * How long does a command take from its start in a new process? Help, and one image classified with a model file of 92 MB,
 * against Node alone and a process that only loads the engine and runs that file once.
 * `npx tsx bench/start-up.ts [rounds]`
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { builtProgram } from "../scripts/build.mjs";
import { architectureOf, encodeModel, initializeWeights, xception } from "../src/index.ts";
import { defaultPreprocessing } from "../src/model/model.ts";
import { nodePlatform } from "../src/runtime/node/platform.ts";
import { mulberry32 } from "../src/tensor/random.ts";
import { interleave, median, type Row, rounded, writeResult } from "./measurement.ts";

const rounds = Number(process.argv[2] ?? 15);
const program = builtProgram(fileURLToPath(new URL("..", import.meta.url)));
const start = (...words: readonly string[]) => promisify(execFile)(process.execPath, words);

const folder = await mkdtemp(join(tmpdir(), "xception-start-up-"));
const [model, image] = [join(folder, "model.onnx"), join(folder, "image.png")];
const network = xception();
const weights = initializeWeights(network);
const labels = Array.from({ length: 1000 }, (_, index) => `class ${index}`);
const bytes = encodeModel({
  architecture: architectureOf(network),
  weights,
  labels,
  preprocessing: defaultPreprocessing,
});
await writeFile(model, bytes);
const random = mulberry32(1);
const data = Uint8Array.from({ length: 400 * 500 * 3 }, () => Math.floor(random() * 256));
await writeFile(image, await nodePlatform.images.encodePng({ width: 400, height: 500, data }));

// What remains if nothing is done but what the engine does: its module, the file as it is, one run.
const engine = pathToFileURL(join(program, "../../../src/runtime/node/engine.js")).href;
const engineAlone = `
  import(${JSON.stringify(engine)}).then(async ({ loadEngine }) => {
    const { InferenceSession, Tensor } = await loadEngine();
    const session = await InferenceSession.create(${JSON.stringify(model)});
    await session.run({ images: new Tensor("uint8", new Uint8Array(${299 * 299 * 3}), [1, 299, 299, 3]) });
  });`;

const times = await interleave(
  {
    "node, an empty program": () => start("-e", "0"),
    "xception --help": () => start(program, "--help"),
    "xception classify --help": () => start(program, "classify", "--help"),
    "onnxruntime-node alone: the file, one run": () => start("-e", engineAlone),
    "xception classify, one image": () => start(program, "classify", model, image),
  },
  rounds,
);
await rm(folder, { recursive: true });
const [node] = Object.values(times);
writeResult("start-up", {
  question: "How long does a command take from its start in a new process?",
  network: `Xception 299×299, a file of ${rounded(bytes.length / 1e6, 0)} MB`,
  rounds,
  rows: Object.entries(times).map(
    ([process, ms]): Row => ({
      process,
      ms: rounded(median(ms), 0),
      "fastest, ms": rounded(Math.min(...ms), 0),
      "more than node alone, ms": rounded(median(ms.map((each, round) => each - node![round]!)), 0),
    }),
  ),
});
