import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { AbortedError, XceptionError } from "../../src/base/errors.ts";
import type { Platform, SessionOptions } from "../../src/base/platform.ts";
import { decodeWhole } from "../../src/compiler/onnx/external-data.ts";
import { readOnnx } from "../../src/compiler/onnx/reader.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { loadClassifier } from "../../src/tasks/evaluate/classifier.ts";
import { ModelProto } from "../oracles/onnx-proto.ts";
import {
  doublingFunctions,
  endlessLoop,
  harmlessGraph,
  hugeConstant,
  manyNodes,
  writeGraph,
} from "./hostile-graphs.ts";
import { smallModel } from "./small-model.ts";

const folder = mkdtempSync(join(tmpdir(), "hostile-models-"));
afterAll(() => rmSync(folder, { recursive: true }));
const pixels = { width: 8, height: 8, data: new Uint8Array(192) };

/** Node with a time limit for isolated sessions, which are counted. */
function within(timeMs: number) {
  const isolated: (string | undefined)[] = [];
  const createSession = (model: Uint8Array, options: SessionOptions = {}) => {
    isolated.push(options.isolation?.where);
    const isolation = options.isolation && { ...options.isolation, timeMs };
    return nodePlatform.engine.createSession(model, { ...options, isolation });
  };
  const platform: Platform = { ...nodePlatform, engine: { ...nodePlatform.engine, createSession } };
  return { platform, isolated };
}

async function rejection(work: Promise<unknown>): Promise<XceptionError> {
  const error = await work.then(
    () => expect.fail("no error"),
    (error) => error,
  );
  expect(error).toBeInstanceOf(XceptionError);
  return error;
}

/** Processes that this one has started and that still run. */
function children(): string[] {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc").filter((pid) => {
    const status = /^\d+$/.test(pid) && existsSync(`/proc/${pid}/stat`) && readFileSync(`/proc/${pid}/stat`, "utf8");
    const command = status && readFileSync(`/proc/${pid}/cmdline`, "utf8");
    return (
      status &&
      status.split(") ")[1]!.split(" ")[1] === `${process.pid}` &&
      command !== false &&
      command.includes("engine-process")
    );
  });
}

describe("graphs of other tools", () => {
  it("run in a process of their own, which ends with the session", async () => {
    const { platform, isolated } = within(30_000);
    const path = writeGraph(folder, "harmless", harmlessGraph());
    const classifier = await loadClassifier(path, { platform });
    expect(isolated).toEqual([`file "${path}"`]);
    const probability = expect.closeTo(0.5, 6);
    expect(await classifier.classify(pixels)).toMatchObject([{ probability }, { probability }]);
    await classifier.dispose();
    await expect.poll(children).toEqual([]);
  });

  it("that never end are ended", async () => {
    const path = writeGraph(folder, "loop", endlessLoop());
    const { message } = await rejection(loadClassifier(path, { platform: within(3000).platform }));
    expect(message).toBe(`file "${path}": running its graph takes longer than 3 s.`);
    await expect.poll(children).toEqual([]);
  });

  it("that take too much memory are ended, the next one runs", async () => {
    const path = writeGraph(folder, "huge", hugeConstant());
    const { message } = await rejection(loadClassifier(path, { platform: within(200_000).platform }));
    expect(message).toMatch(/^file ".*huge\.onnx": running its graph needs more than 1024 MiB\.$/);
    const classifier = await loadClassifier(harmlessGraph(), { platform: nodePlatform });
    expect(await classifier.classify(pixels)).toHaveLength(2);
    await classifier.dispose();
  });

  it("whose functions double with each call are ended", async () => {
    const path = writeGraph(folder, "doubling", doublingFunctions());
    const { message } = await rejection(loadClassifier(path, { platform: within(3000).platform }));
    expect(message).toMatch(
      /^file ".*doubling\.onnx": running its graph (takes longer than 3 s|needs more than 1024 MiB)\.$/,
    );
    const few = await loadClassifier(doublingFunctions(2), { platform: nodePlatform });
    await few.dispose();
  });

  it("of more than 100,000 nodes are rejected before they are decoded", async () => {
    const graph = manyNodes(99_998);
    expect((await rejection(loadClassifier(graph, { platform: nodePlatform }))).message).toMatch(
      /^file of \d+ bytes: its graph is too large; expected at most 100000 nodes\.$/,
    );
    expect(readOnnx(manyNodes(99_997), "it").nodes).toHaveLength(100_000);
  });
});

describe("AbortSignal", () => {
  it("stops loading and running at any moment, and the model can be used again", async () => {
    const abort = new AbortController();
    setTimeout(() => abort.abort(new Error("enough")), 2000);
    const loading = loadClassifier(endlessLoop(), { platform: nodePlatform, session: { signal: abort.signal } });
    expect(await rejection(loading)).toBeInstanceOf(AbortedError);
    await expect.poll(children).toEqual([]);

    const session = await nodePlatform.engine.createSession(harmlessGraph(), {
      isolation: { where: "it", timeMs: 30_000, memoryBytes: 2 ** 30 },
    });
    const images = { type: "float32", shape: [1, 3, 8, 8], data: new Float32Array(192) } as const;
    const first = await session.run({ images });
    expect((await rejection(session.run({ images }, { signal: abort.signal }))).message).toBe(
      "it: it was stopped by the caller.",
    );
    expect(await session.run({ images })).toEqual(first);
    await session.dispose();
  });
});

it.runIf(process.platform === "linux")("a process that is killed takes its engine with it", async () => {
  const script = `
    import { nodePlatform } from ${JSON.stringify(new URL("../../src/runtime/node/platform.ts", import.meta.url).href)};
    import { endlessLoop } from ${JSON.stringify(new URL("hostile-graphs.ts", import.meta.url).href)};
    const isolation = { where: "it", timeMs: 600_000, memoryBytes: 2 ** 30 };
    const session = await nodePlatform.engine.createSession(endlessLoop(), { isolation });
    const { execFileSync } = await import("node:child_process");
    process.send(execFileSync("pgrep", ["-P", String(process.pid), "-f", "engine-process"], { encoding: "utf8" }).trim());
    await session.run({ images: { type: "float32", shape: [1, 3, 8, 8], data: new Float32Array(192) } });`;
  const file = join(folder, "parent.mts");
  writeFileSync(file, script);
  const parent = fork(file, { execArgv: ["--import", "tsx"] });
  const [engine] = (await once(parent, "message")) as [string];
  expect(existsSync(`/proc/${engine}`)).toBe(true);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  parent.kill("SIGKILL");
  await expect.poll(() => existsSync(`/proc/${engine}`)).toBe(false);
});

describe("our own model files", () => {
  const model = smallModel();
  const bytes = encodeModel(model);

  /** The file with its graph changed. */
  function changed(change: (graph: ReturnType<typeof decodeWhole>["graph"]) => void): Uint8Array {
    const file = decodeWhole(bytes);
    change(file.graph);
    return ModelProto.encode(file).finish();
  }

  it.each(["float32", "float16"] as const)("stored as %s run in this process", async (storedAs) => {
    const { platform, isolated } = within(1);
    const classifier = await loadClassifier(encodeModel(model, { storedAs }), { platform });
    expect(isolated).toEqual([undefined]);
    await classifier.dispose();
  });

  it("with another graph run in a process of their own", async () => {
    const renamed = changed(({ node }) => {
      (node[0] as { name?: string }).name = "other";
    });
    const { platform, isolated } = within(30_000);
    const [own, other] = [await loadClassifier(bytes, { platform }), await loadClassifier(renamed, { platform })];
    const image = { width: 80, height: 71, data: new Uint8Array(80 * 71 * 3).map((_, at) => at % 251) };
    expect(await other.classify(image)).toEqual(await own.classify(image));
    expect(isolated.filter((where) => where !== undefined)).toEqual([`file of ${renamed.length} bytes`]);
    await Promise.all([own.dispose(), other.dispose()]);
  });

  it("that describe an endless network give an error with their name", async () => {
    const file = decodeWhole(bytes) as unknown as { metadata_props: { value: string }[] };
    const document = JSON.parse(file.metadata_props[0]!.value);
    document.architecture.options.fcUnits = Array(100_000).fill(1);
    file.metadata_props[0]!.value = JSON.stringify(document);
    const path = writeGraph(folder, "deep", ModelProto.encode(file as never).finish());
    expect((await rejection(loadClassifier(path, { platform: nodePlatform }))).message).toMatch(
      /^model ".*deep\.onnx", metadata: the network has too many layers \(Maximum call stack size exceeded\)\.$/,
    );
  });

  it("with a damaged graph give an error with their name", async () => {
    const damaged = changed(({ node }) => {
      node[3]!.input = ["nowhere"];
    });
    const path = writeGraph(folder, "damaged", damaged);
    expect((await rejection(loadClassifier(path, { platform: nodePlatform }))).message).toMatch(
      /^file ".*damaged\.onnx", ONNX Runtime: it cannot load the model: /,
    );
  });
});
