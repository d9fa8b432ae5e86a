import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { build, type Metafile } from "esbuild";
import { root } from "../../scripts/project-root.mjs";

/** A file of the bundle. */
export interface BundledFile {
  readonly name: string;
  readonly contents: Uint8Array;
}

/** `xception-ts/web` and its worker, as esbuild bundles them for a page. */
export interface Bundle {
  readonly files: readonly BundledFile[];
  /** What a browser loads for modules of src/ and their static imports: sources by path, and the size in bytes with gzip. */
  readonly loadedFor: (modules: readonly string[]) => {
    readonly sources: readonly string[];
    readonly gzipBytes: number;
  };
  /** Sources in some of the files. */
  readonly sourcesIn: (names: readonly string[]) => readonly string[];
}

/** Bundles the library. */
export async function bundleLibrary(): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: {
      web: "src/web.ts",
      "web-worker": "src/web-worker.ts",
      "program-thread": "src/runtime/web/program-thread.ts",
    },
    bundle: true,
    splitting: true,
    minify: true,
    format: "esm",
    target: "es2022",
    outdir: "library",
    write: false,
    metafile: true,
    logLevel: "error",
  });
  const files = outputFiles.map(({ path, contents }) => ({ name: basename(path), contents }));
  const { outputs } = metafile;
  return {
    files,
    loadedFor: (modules) => loadedFor(modules, metafile, files),
    sourcesIn: (names) =>
      Object.keys(outputs).flatMap((path) =>
        names.includes(basename(path)) ? Object.keys(outputs[path]!.inputs) : [],
      ),
  };
}

function loadedFor(modules: readonly string[], { outputs }: Metafile, files: readonly BundledFile[]) {
  const seen = new Set<string>();
  const visit = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const { kind, path: imported } of outputs[path]!.imports) if (kind === "import-statement") visit(imported);
  };
  for (const module of modules) visit(Object.keys(outputs).find((path) => outputs[path]!.entryPoint === module)!);
  const contents = [...seen].map((path) => files.find(({ name }) => name === basename(path))!.contents);
  return {
    sources: [...seen].flatMap((path) => Object.keys(outputs[path]!.inputs)),
    gzipBytes: contents.reduce((sum, each) => sum + gzipSync(each).length, 0),
  };
}

/** The folder of ONNX Runtime's files. */
export const runtimeFolder = join(root, "node_modules/onnxruntime-web/dist");

/**
 * Sources that classifying with a model file does not need: the writer of ONNX files, readers of other formats, published weights,
 * training, and reports. They are loaded when they are needed.
 */
export const unneeded =
  /h5wasm|vega|fflate|protobufjs|onnxruntime|src\/(train|report|formats\/(torch|keras|tfjs|map-weights|onnx\/format)|compiler\/(compile|onnx\/emitter|quantize)|model\/(load-model|foreign-graph|open-weights|formats|published-weights|model-writer)|tasks\/(explain|verify))\b/;
