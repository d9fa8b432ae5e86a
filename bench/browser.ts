/**
 * How fast is our engine in a browser, against ONNX Runtime's, TensorFlow.js's and LiteRT.js's? Xception at 299×299, one image,
 * in headless Chromium (Debian's package), all engines in one page, interleaved, with one and two threads. Then each on its
 * own: the time from opening a page to its first prediction, over a line of 20 Mbit/s and again from the cache, and the memory
 * of the largest process.
 *
 *     npm ci --prefix bench/peers && npx tsx bench/browser.ts [rounds] [Mbit/s; 0 skips loading] [threads,threads]
 */
import { readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { chromium, type Page } from "playwright-core";
import { compile } from "../src/compiler/compile.ts";
import { writeTfjsModel } from "../src/formats/tfjs/writer.ts";
import type { Network } from "../src/graph/network.ts";
import { kerasPreprocessing } from "../src/graph/preprocessing.ts";
import { syntheticImages, syntheticWeights } from "../src/graph/synthetic.ts";
import type { Weights } from "../src/graph/weights.ts";
import { encodeModel, xception } from "../src/index.ts";
import { median, type Row, rounded, writeResult } from "./measurement.ts";

type TfliteWriter = (network: Network, weights: Weights) => Uint8Array;

const [rounds = "15", megabits = "20", threadCounts = "2,1"] = process.argv.slice(2);
const root = fileURLToPath(new URL("..", import.meta.url));
const isolated = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};
const contentTypes: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};

const files = new Map<string, Uint8Array>();
const options = { inputShape: [299, 299, 3] } as const;
const network = xception(options);
const weights = syntheticWeights(network);
files.set("/models/program", compile(network, weights, { form: "program" }));
files.set("/models/folded.onnx", compile(network, weights, { form: "inference" }));
const preprocessing = { ...kerasPreprocessing, interpolation: "bilinear", fit: "fill", background: [0, 0, 0] } as const;
const labels = Array.from({ length: 1000 }, (_, index) => `class ${index}`);
const model = { architecture: { family: "xception", options }, weights, labels, preprocessing } as const;
files.set("/models/float32.onnx", encodeModel(model));
files.set("/models/int8.onnx", encodeModel(model, { storedAs: "int8" }));
files.set("/models/float16.onnx", encodeModel(model, { storedAs: "float16" }));
// A package of its own, which the project's compiler does not see.
const { writeTflite }: { writeTflite: TfliteWriter } = await import(new URL("./peers/tflite.ts", import.meta.url).href);
files.set("/models/model.tflite", writeTflite(network, weights));
const tfjs = writeTfjsModel({ network, weights });
files.set("/models/tfjs/model.json", tfjs.bytes);
for (const [name, content] of tfjs.beside) files.set(`/models/tfjs/${name}`, content);

const bundle = (entryPoints: readonly string[], outdir: string) =>
  build({
    absWorkingDir: root,
    entryPoints: [...entryPoints],
    entryNames: "[name]",
    bundle: true,
    splitting: true,
    minify: true,
    format: "esm",
    target: "es2022",
    outdir,
    write: false,
    // TensorFlow.js's package reads files in Node.
    external: ["fs", "path", "worker_threads", "perf_hooks", "os", "node:*"],
    logLevel: "error",
  });
for (const { outputFiles } of [
  await bundle(["src/web.ts", "src/web-worker.ts", "src/runtime/web/program-thread.ts"], "library"),
  await bundle(["bench/peers/page.ts", "bench/peers/engine-worker.ts", "src/runtime/web/program-thread.ts"], "peers"),
]) {
  for (const { path, contents } of outputFiles) files.set(`/${basename(join(path, ".."))}/${basename(path)}`, contents);
}
const folders: Readonly<Record<string, string>> = {
  "/ort/": "node_modules/onnxruntime-web/dist/",
  "/library/": "node_modules/onnxruntime-web/dist/",
  "/litert/": "bench/peers/node_modules/@litertjs/core/wasm/",
  "/tfjs/": "bench/peers/node_modules/@tensorflow/tfjs-backend-wasm/dist/",
};
const empty = new TextEncoder().encode("<!doctype html><title>bench</title><body></body>");

/** The next moment at which the line is free, and its bytes per millisecond; undefined while it is not throttled. */
let line: { freeAt: number; readonly rate: number } | undefined;
const compressed = new Map<string, Uint8Array>();

const server = createServer(async (request, response) => {
  const path = request.url!.replace(/\?.*/, "");
  const folder = Object.keys(folders).find((each) => path.startsWith(each));
  let body = path === "/" ? empty : files.get(path);
  if (body === undefined && folder !== undefined) {
    try {
      body = readFileSync(join(root, folders[folder]!, basename(path)));
    } catch {
      // Not found.
    }
  }
  if (body === undefined) return void response.writeHead(404).end();
  const type = contentTypes[extname(path === "/" ? "page.html" : path)];
  if (type !== undefined) {
    if (!compressed.has(path)) compressed.set(path, gzipSync(body));
    body = compressed.get(path)!;
  }
  response.writeHead(200, {
    ...isolated,
    "content-type": type ?? "application/octet-stream",
    "content-length": body.length,
    "cache-control": "max-age=3600",
    ...(type !== undefined && { "content-encoding": "gzip" }),
  });
  const step = 16_384;
  for (let start = 0; start < body.length; start += line ? step : body.length) {
    const chunk = body.subarray(start, line ? start + step : body.length);
    if (line) {
      const from = Math.max(line.freeAt, performance.now());
      line.freeAt = from + chunk.length / line.rate;
      await new Promise((resolve) => setTimeout(resolve, from - performance.now()));
    }
    response.write(chunk);
  }
  response.end();
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

type Run = (images: Float32Array) => Promise<Float32Array>;
interface BenchPage {
  engines: Readonly<Record<string, (threads: number) => Promise<Run>>>;
  images: Float32Array;
  runs: Record<string, Run>;
}

/** The part of `xception-ts/web` that is used here, which the project's compiler does not see. */
type Library = Pick<typeof import("../src/node.ts"), "loadClassifier">;

const profile = join(tmpdir(), `xception-bench-${process.pid}`);
/** Opens a browser; its cache is empty the first time, and afterwards what the last one left. */
async function withBrowser<T>(use: (page: Page, memoryMib: () => Promise<number>) => Promise<T>): Promise<T> {
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox"],
  });
  try {
    const memoryMib = async () => {
      const session = await context.browser()!.newBrowserCDPSession();
      const { processInfo } = await session.send("SystemInfo.getProcessInfo");
      const peaks = processInfo.map(({ id }) => {
        const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${id}/status`, "utf8"));
        return Number(peak?.[1] ?? 0) / 1024;
      });
      return Math.max(...peaks);
    };
    const page = context.pages()[0]!;
    page.on("pageerror", (error) => console.error(error.message));
    return await use(page, memoryMib);
  } finally {
    await context.close();
  }
}

const images = Buffer.from(syntheticImages(1, [299, 299, 3]).data.buffer).toString("base64");
const rows: Row[] = [];
let chromiumVersion = "";
for (const threads of threadCounts.split(",").map(Number)) {
  const { times, probabilities } = await withBrowser(async (page) => {
    chromiumVersion = page.context().browser()!.version();
    await page.goto(address);
    await page.addScriptTag({ type: "module", url: "/peers/page.js" });
    await page.waitForFunction(() => "engines" in globalThis);
    await page.evaluate((encoded) => {
      const { buffer } = Uint8Array.from(atob(encoded), (each) => each.charCodeAt(0));
      Object.assign(globalThis, { images: new Float32Array(buffer), runs: {} });
    }, images);
    const names = await page.evaluate(() => Object.keys((globalThis as unknown as BenchPage).engines));
    const probabilities: Record<string, readonly number[]> = {};
    for (const name of names) {
      probabilities[name] = await page.evaluate(
        async ([name, threads]) => {
          const { engines, images, runs } = globalThis as unknown as BenchPage;
          runs[name] = await engines[name]!(threads);
          return Array.from(await runs[name](images));
        },
        [name, threads] as const,
      );
      console.error(`${name}, ${threads} threads: loaded`);
    }
    const times: Record<string, number[]> = Object.fromEntries(names.map((name) => [name, []]));
    for (let round = -2; round < Number(rounds); round++) {
      for (const name of names) {
        const ms = await page.evaluate(async (name) => {
          const { images, runs } = globalThis as unknown as BenchPage;
          const start = performance.now();
          await runs[name]!(images);
          return performance.now() - start;
        }, name);
        // Threads of some engines spin for a while after a run.
        await new Promise((resolve) => setTimeout(resolve, 100));
        if (round >= 0) times[name]!.push(ms);
      }
    }
    return { times, probabilities };
  });
  const [reference] = Object.values(probabilities);
  const [first] = Object.keys(times);
  for (const [engine, each] of Object.entries(times)) {
    const ratios = each.map((ms, round) => times[first!]![round]! / ms);
    rows.push({
      engine,
      threads,
      ms: rounded(median(each), 0),
      "ours ÷ this": rounded(median(ratios), 2),
      "differs by": Number(
        Math.max(...probabilities[engine]!.map((value, index) => Math.abs(value - reference![index]!))).toExponential(
          0,
        ),
      ),
    });
  }
}
writeResult("browser", {
  question: "How fast is our engine in a browser, against those of others?",
  chromium: chromiumVersion,
  rows,
});

/** What a page does until its first prediction; the name of the engine, and its model's file. */
const firsts = {
  "ours, int8 file": "int8.onnx",
  "ours, float16 file": "float16.onnx",
  "ours, float32 file": "float32.onnx",
  "onnxruntime-web": "folded.onnx",
  "LiteRT.js": "model.tflite",
  "TensorFlow.js": "tfjs/model.json",
} as const;
const loading: Row[] = [];
if (Number(megabits) > 0) {
  line = { freeAt: 0, rate: (Number(megabits) * 1e6) / 8 / 1000 };
  for (const [engine, file] of Object.entries(firsts)) {
    rmSync(profile, { recursive: true, force: true });
    const first = () =>
      withBrowser(async (page, memoryMib) => {
        await page.goto(address);
        const ms = await page.evaluate(
          async ([engine, file, threads]) => {
            const start = performance.now();
            const bytes = new Float32Array(299 * 299 * 3);
            if (engine.startsWith("ours")) {
              const { loadClassifier }: Library = await import("/library/web.js" as string);
              const classifier = await loadClassifier(`/models/${file}`, { session: { threads } });
              await classifier.classify({ width: 299, height: 299, data: new Uint8Array(299 * 299 * 3) });
            } else {
              await import("/peers/page.js" as string);
              const run = await (globalThis as unknown as BenchPage).engines[engine]!(threads);
              await run(bytes);
            }
            return performance.now() - start;
          },
          [engine, file, 2] as const,
        );
        return { ms, memory: await memoryMib() };
      });
    const cold = await first();
    const again = await first();
    loading.push({
      engine,
      "first prediction, s": rounded(cold.ms / 1000, 1),
      "again, s": rounded(again.ms / 1000, 1),
      "largest process, MiB": rounded(cold.memory, 0),
    });
    console.error(`${engine}: ${(cold.ms / 1000).toFixed(1)} s, again ${(again.ms / 1000).toFixed(1)} s`);
  }
}
rmSync(profile, { recursive: true, force: true });
server.closeAllConnections();
server.close();
if (loading.length > 0) {
  writeResult("browser-loading", {
    question: "How long does a page take until its first prediction, and how much memory?",
    chromium: chromiumVersion,
    megabitsPerSecond: Number(megabits),
    rows: loading,
  });
}
