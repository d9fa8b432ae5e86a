/**
 * How long does reading the weights of a whole Xception take, against reading the file's bytes and copying them once, and
 * how much memory? For every format, in processes of their own. `npm run build`, then
 * `npx tsx bench/read-weights.ts [PYTHON]`; PYTHON, an interpreter with PyTorch, adds `.pth`.
 */

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { kerasPreprocessing } from "../src/graph/preprocessing.ts";
import { syntheticWeights } from "../src/graph/synthetic.ts";
import { type TargetName, weightsTargets } from "../src/model/formats.ts";
import { architectureNamed, buildNetwork } from "../src/models/registry.ts";
import { writeFilesAtomic } from "../src/runtime/node/files.ts";
import { median, type Row, rounded, writeResult } from "./measurement.ts";

interface Source {
  readonly title: string;
  readonly network: "xception" | "legacy_xception";
  readonly file: string;
}

interface Times {
  readonly firstMs: number;
  readonly rounds: readonly { readonly bytesMs: number; readonly loadMs: number }[];
}

const processes = 3;
const [python] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "read-weights-"));
try {
  const rows: Row[] = [];
  for (const source of await writeSources()) rows.push(measure(source));
  writeResult("read-weights", {
    question:
      "How long does reading the weights of Xception take, against reading the bytes and copying them once, and how much memory?",
    processes,
    rows,
  });
} finally {
  rmSync(folder, { recursive: true });
}

async function writeSources(): Promise<Source[]> {
  const targets: readonly [TargetName, string, Source["network"]][] = [
    ["weights-h5", "xception.weights.h5", "xception"],
    ["h5-weights", "xception.h5", "xception"],
    ["keras", "xception.keras", "xception"],
    ["tfjs", "model.json", "xception"],
    ["onnx", "xception.onnx", "xception"],
    ["safetensors", "legacy_xception.safetensors", "legacy_xception"],
  ];
  const sources: Source[] = [];
  for (const [target, name, network] of targets) {
    mkdirSync(join(folder, target));
    const file = join(folder, target, name);
    const { bytes, beside } = await weightsTargets[target].write(modelOf(network), {
      savedAt: new Date(0),
      storedAs: "float32",
    });
    await writeFilesAtomic(file, bytes, beside);
    const exact = target === "h5-weights" ? ", Keras 2" : target === "weights-h5" ? ", Keras 3" : "";
    sources.push({ title: `${name.replace(/^(legacy_)?xception/, "")}${exact}`, network, file });
  }
  if (python !== undefined) sources.push(writeTorch(python, sources.at(-1)!.file));
  return sources;
}

function modelOf(name: Source["network"]) {
  const architecture = architectureNamed(name, {});
  const network = buildNetwork(architecture);
  const labels = Array.from({ length: 1000 }, (_, index) => `class ${index}`);
  const preprocessing = { ...kerasPreprocessing, fit: "fill", background: [255, 255, 255] } as const;
  return { architecture, network, weights: syntheticWeights(network), labels, preprocessing };
}

/** The same tensors, saved by PyTorch itself. */
function writeTorch(python: string, safetensors: string): Source {
  mkdirSync(join(folder, "torch"));
  const file = join(folder, "torch", "legacy_xception.pth");
  const program = fileURLToPath(new URL("../tests/interop/torch-from-safetensors.py", import.meta.url));
  execFileSync(python, [program, safetensors, file], { stdio: "inherit" });
  return { title: ".pth", network: "legacy_xception", file };
}

function measure({ title, network, file }: Source): Row {
  const parts = readdirSync(join(file, "..")).map((name) => join(file, "..", name));
  const bytes = parts.reduce((sum, part) => sum + statSync(part).size, 0);
  const times = Array.from({ length: processes }, () => once<Times>(file, network, "time", parts));
  const memory = Array.from({ length: processes }, () =>
    once<{ readonly idle: number; readonly peak: number }>(file, network, "memory", parts),
  );
  const rounds = times.flatMap((each) => each.rounds);
  const bytesMs = median(rounds.map((each) => each.bytesMs));
  return {
    format: title,
    "file, MB": rounded(bytes / 1e6, 1),
    "bytes read and copied, ms": rounded(bytesMs, 0),
    "weights read, ms": rounded(median(rounds.map((each) => each.loadMs)), 0),
    ratio: rounded(median(rounds.map((each) => each.loadMs / each.bytesMs)), 2),
    "first in a process, ms": rounded(median(times.map((each) => each.firstMs)), 0),
    "memory ÷ file": rounded(median(memory.map(({ idle, peak }) => (peak - idle) / bytes)), 2),
  };
}

function once<T>(file: string, network: string, question: "time" | "memory", parts: readonly string[]): T {
  const program = fileURLToPath(new URL("./read-weights-once.mjs", import.meta.url));
  return JSON.parse(execFileSync(process.execPath, [program, file, network, question, ...parts], { encoding: "utf8" }));
}
