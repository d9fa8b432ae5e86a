import { execFileSync, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { build } from "../../scripts/build.mjs";
import { supportedNode } from "../../scripts/install.mjs";
import { root } from "../../scripts/project-root.mjs";
import { encodePng } from "../../src/runtime/node/images.ts";

const folder = mkdtempSync(join(tmpdir(), "xception-packed-"));
const oldest = /\d+\.\d+\.\d+/.exec(supportedNode)![0];
const packages = join(folder, "node_modules");
const typescript = join(root, "node_modules", "typescript", "bin", "tsc");

/** Installs the tarball into an empty project, with the dependencies that it asks for and no others. */
beforeAll(async () => {
  build(root);
  npm(root, "pack", "--pack-destination", folder, "--ignore-scripts", "--loglevel=error");
  mkdirSync(packages);
  execFileSync("tar", ["-xzf", join(folder, `xception-ts-${packageJson.version}.tgz`), "-C", packages]);
  renameSync(join(packages, "package"), join(packages, "xception-ts"));
  for (const name of Object.keys(packageJson.dependencies)) {
    mkdirSync(dirname(join(packages, name)), { recursive: true });
    symlinkSync(join(root, "node_modules", name), join(packages, name), "junction");
  }
  for (const [label, brightness] of Object.entries({ dark: 40, bright: 200 })) {
    const photos = join(folder, "photos", label);
    mkdirSync(photos, { recursive: true });
    // Equal files would stay together, and none could be held out.
    for (const index of [0, 1, 2]) {
      const data = new Uint8Array(71 * 71 * 3).fill(brightness + index);
      writeFileSync(join(photos, `${index}.png`), await encodePng({ width: 71, height: 71, data }));
    }
  }
});

afterAll(() => rmSync(folder, { recursive: true }));

describe("the packed package", () => {
  it(`runs on Node ${oldest}, the oldest that package.json allows`, (context) => {
    const node = oldestNode();
    if (node === undefined) return context.skip(`Node ${oldest} could not be installed from the npm registry`);
    const xception = (...args: readonly string[]) =>
      run(node, join(packages, "xception-ts", packageJson.bin["xception-ts"]), ...args);
    expect(xception("--version").trim()).toBe(packageJson.version);
    expect(xception("--help")).toContain("Usage: xception");
    expect(xception("summary")).toContain("Total params: 22,910,480");
    const network = ["--image-size", "71", "--width", "0.05", "--middle-flow-repeats", "0"];
    xception("train", "photos", "-o", "run", ...network, "--epochs", "1", "--batch-size", "2");
    xception("convert", "run/model.onnx", "model.safetensors");
    expect(xception("classify", "run/model.onnx", "photos/dark/0.png")).toMatch(/dark|bright/);
    expectLoads(node);
  });

  it("is imported by ES modules and required by CommonJS", () => expectLoads(process.execPath));

  it("demo says which packages contain its images, and leaves nothing behind", (context) => {
    const { paths } = createRequire(join(folder, "program.js")).resolve;
    const found = paths("emoji-datasource-google")?.find((each) => existsSync(join(each, "emoji-datasource-google")));
    if (found !== undefined) return context.skip(`the images are installed above the temporary folder, in ${found}`);
    const program = join(packages, "xception-ts", packageJson.bin["xception-ts"]);
    const { status, stderr } = spawnSync(process.execPath, [program, "demo"], { cwd: folder, encoding: "utf8" });
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr:
        "error: images of the demo: the package emoji-datasource-google is not installed. " +
        "Install the images: npm install emoji-datasource-google emoji-datasource-twitter\n",
    });
    expect(existsSync(join(folder, "demo"))).toBe(false);
  });

  it("has types for strict projects: nodenext, bundler and CommonJS", () => {
    const use = (imports: string) => `
      ${imports}
      export const network: Network = xception({ classes: "ten" });
      export const best = async (): Promise<string> => {
        const [prediction] = await (await loadClassifier("model.onnx")).classify("a.png");
        return prediction!.probability;
      };
      export const signal: Parameters<typeof evaluate>[2] = { signal: new AbortController().signal };`;
    const imported = `import { type Network, xception } from "xception-ts";
      import { evaluate, loadClassifier } from "xception-ts/node";`;
    const required = `import core = require("xception-ts");
      import node = require("xception-ts/node");
      type Network = core.Network;
      const { xception } = core;
      const { evaluate, loadClassifier } = node;`;
    const files = { "use.mts": use(imported), "use.cts": use(imported), "required.cts": use(required) };
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);

    const found = (file: string, ...flags: readonly string[]) => {
      const args = [typescript, "--ignoreConfig", "--noEmit", "--strict", ...flags, file];
      const { stdout } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
      return stdout.split("\n").filter((line) => line.includes("error"));
    };
    const mistakes = [
      expect.stringContaining("error TS2322: Type 'string' is not assignable to type 'number'."),
      expect.stringContaining("error TS2322: Type 'number' is not assignable to type 'string'."),
    ];
    expect(found("use.mts", "--module", "nodenext")).toEqual(mistakes);
    expect(found("use.mts", "--module", "esnext", "--moduleResolution", "bundler")).toEqual(mistakes);
    expect(found("use.cts", "--module", "nodenext")).toEqual(mistakes);
    expect(found("required.cts", "--module", "nodenext")).toEqual(mistakes);
  });

  it("needs no script of a dependency: the engine's own is switched off by a variable, too", () => {
    const script = join(packages, "onnxruntime-node", "script", "install.js");
    const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip" };
    expect(execFileSync(process.execPath, [script], { env, encoding: "utf8" })).toBe("");
  });

  it.runIf(process.platform === "linux" && process.arch === "x64")("runs without what install.md removes", () => {
    for (const name of ["onnxruntime-node", "onnxruntime-web"]) {
      rmSync(join(packages, name));
      execFileSync("cp", ["-r", join(root, "node_modules", name), packages]);
    }
    // Of the copies' own dependencies, which are found beside the originals.
    symlinkSync(join(root, "node_modules", "onnxruntime-common"), join(packages, "onnxruntime-common"), "junction");
    const removals = readFileSync(join(root, "docs", "install.md"), "utf8").match(/^rm (-r )?node_modules\/\S+$/gm)!;
    expect(removals.length).toBe(2);
    for (const removal of removals) execFileSync("bash", ["-c", removal], { cwd: folder });
    const program = join(packages, "xception-ts", packageJson.bin["xception-ts"]);
    const network = ["--image-size", "71", "--width", "0.05", "--middle-flow-repeats", "0"];
    run(process.execPath, program, "train", "photos", "-o", "small", ...network, "--epochs", "1", "--batch-size", "2");
    const onDevice = (device: string) =>
      run(process.execPath, program, "classify", "small/model.onnx", "photos/dark/0.png", "--device", device);
    expect(onDevice("wasm")).toBe(onDevice("cpu"));
  });
});

function expectLoads(node: string): void {
  const count = "all.countParameters(all.networkWeights(all.xception())).total";
  for (const entry of ["xception-ts", "xception-ts/node"]) {
    const imported = `import * as all from "${entry}"; console.log(${count});`;
    expect(run(node, "--input-type=module", "--eval", imported)).toBe("22910480\n");
    expect(run(node, "--eval", `const all = require("${entry}"); console.log(${count});`)).toBe("22910480\n");
  }
}

function run(node: string, ...args: readonly string[]): string {
  return execFileSync(node, args, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Its program, installed once; undefined where that fails. */
function oldestNode(): string | undefined {
  const system = process.platform === "win32" ? "win" : process.platform;
  const name = `node-${system}-${process.arch}`;
  const home = join(root, "node_modules", ".cache", `node-${oldest}`);
  const program = join(home, "node_modules", name, "bin", process.platform === "win32" ? "node.exe" : "node");
  if (existsSync(program)) return program;
  mkdirSync(home, { recursive: true });
  try {
    npm(home, "install", "--prefix", home, "--no-save", "--ignore-scripts", "--loglevel=error", `${name}@${oldest}`);
    return existsSync(program) ? program : undefined;
  } catch {
    return undefined;
  }
}

function npm(cwd: string, ...args: readonly string[]): string {
  return execFileSync("npm", args, { cwd, encoding: "utf8", stdio: "pipe", shell: process.platform === "win32" });
}
