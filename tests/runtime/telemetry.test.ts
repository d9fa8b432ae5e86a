import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { build } from "../../scripts/build.mjs";
import { root } from "../../scripts/project-root.mjs";
import { encodePng } from "../../src/runtime/node/images.ts";
import { projectFiles, readProjectFile } from "../repository/project-files.ts";

const folder = mkdtempSync(join(tmpdir(), "xception-telemetry-"));
const photos = join(folder, "photos");
const model = join(folder, "run", "model.onnx");
const commandLine = join(root, "dist", "apps", "cli", "main.js");

const classification = `
  const { loadClassifier } = await import("${pathToFileURL(join(root, "dist", "src", "node.js"))}");
  const classifier = await loadClassifier(${JSON.stringify(model)});
  await classifier.classify(${JSON.stringify(join(photos, "dark", "0.png"))});
  await classifier.dispose();`;
const inWorker = `
  const { Worker } = await import("node:worker_threads");
  new Worker(new URL("data:text/javascript,${encodeURIComponent(classification)}"));`;

beforeAll(async () => {
  build(root);
  for (const [label, brightness] of Object.entries({ dark: 40, bright: 200 })) {
    mkdirSync(join(photos, label), { recursive: true });
    // Equal files would stay together, and none could be held out.
    for (const index of [0, 1, 2]) {
      const data = new Uint8Array(71 * 71 * 3).fill(brightness + index);
      writeFileSync(join(photos, label, `${index}.png`), await encodePng({ width: 71, height: 71, data }));
    }
  }
});

afterAll(() => rmSync(folder, { recursive: true }));

describe("the engine's telemetry", () => {
  it("is off in a training and a classification on the command line", () => {
    const network = ["--image-size", "71", "--width", "0.05", "--middle-flow-repeats", "0"];
    const train = ["train", photos, "-o", join(folder, "run"), ...network, "--epochs", "1", "--batch-size", "2"];
    expect(leftBehind([commandLine, ...train])).toEqual([]);
    expect(leftBehind([commandLine, "classify", model, join(photos, "dark", "0.png")])).toEqual([]);
  });

  it("is off in the library", () => {
    expect(leftBehind(["--input-type=module", "--eval", classification])).toEqual([]);
  });

  it("is off in a worker thread, whose environment the engine does not see", () => {
    expect(leftBehind(["--input-type=module", "--eval", inWorker])).toEqual([]);
  });

  // The engine leaves traces on the systems where it sends anything itself.
  it.skipIf(process.platform === "win32")("is on for who asks for it", () => {
    const files = leftBehind(["--input-type=module", "--eval", classification], { XCEPTION_ORT_TELEMETRY: "1" });
    expect(files).toContainEqual(expect.stringContaining("onnxruntime"));
  });

  it("is off in tests and benches, too: nothing else loads the engine", () => {
    const importing = /(from|import|require)\s*\(?\s*["']onnxruntime-node["']/;
    const code = projectFiles().filter((file) => /\.(ts|mjs|js)$/.test(file) && importing.test(readProjectFile(file)));
    const quoted = ["tests/repository/imports.test.ts"];
    expect(code.filter((file) => !quoted.includes(file))).toEqual(["src/runtime/node/engine.ts"]);
  });
});

/** Files that a program left in its home, cache and temporary folders. It believes not to run on CI, where the engine is silent. */
function leftBehind(args: readonly string[], environment: NodeJS.ProcessEnv = {}): string[] {
  const machine = mkdtempSync(join(folder, "machine-"));
  const folders = Object.fromEntries(
    ["HOME", "XDG_CACHE_HOME", "TMPDIR", "TEMP"].map((name) => [name, join(machine, name)]),
  );
  for (const path of Object.values(folders)) mkdirSync(path);
  const { PATH, SystemRoot } = process.env;
  execFileSync(process.execPath, args, { cwd: folder, env: { PATH, SystemRoot, ...folders, ...environment } });
  return readdirSync(machine, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
