import { type CompileTarget, deviceFor, type Platform, type SessionOptions, type Source } from "../base/platform.ts";
import { nameOfSource } from "../base/source.ts";
import { compileInference } from "../compiler/inference.ts";
import { toEngineWeights } from "../graph/weights.ts";
import { limitsOf, namingFile, withFileName } from "./isolation.ts";
import type { ClassifierSession, LoadModelOptions } from "./load-model.ts";
import type { Model } from "./model.ts";
import { decodeForEngine, describeModel, isOwnModel } from "./model-file.ts";
import { weightsSource } from "./weights-file.ts";

/**
 * Loads a classifier into the engine. For a model file or an ONNX graph of another tool, the graph in the file itself
 * runs, so that predictions match those of every other ONNX tool; our own engine runs it from the network. The code for other
 * files than ours is loaded with the first of them.
 * @throws as {@link Verbs.loadClassifier}.
 */
export async function createClassifierSession(
  source: Source,
  platform: Platform,
  options: LoadModelOptions,
  session?: SessionOptions,
): Promise<ClassifierSession> {
  const { engine, images } = platform;
  engine.prepare?.();
  images.prepare?.();
  const opened = await weightsSource(source, platform, options);
  const { where } = opened;
  const device = deviceFor(engine, session);
  const name = nameOfSource(source);
  const isOwn = isOwnModel(opened, options);
  const described = isOwn && device !== "wasm" ? describeModel(opened.bytes, name) : undefined;
  // Only CPUs multiply integers.
  if (described && (described.quantization === undefined || device === "cpu")) {
    const { storedGraph } = await import("./stored-graph.ts");
    const { graph, settings } = storedGraph(opened.bytes, described, where, { ...session, device });
    const inEngine = await engine.createSession(graph, settings).catch(namingFile(where));
    return { ...described, notes: [], session: withFileName(inEngine, where) };
  }
  const others = isOwn ? undefined : await import("./load-model.ts");
  if (others?.isGraphToRun(opened, options)) return others.loadGraph(opened, options, engine, session);
  const { engineWeights, ...model } = others
    ? forEngine(await others.classifierFrom(opened, options))
    : { ...decodeForEngine(opened.bytes, name), notes: [] };
  const { network, preprocessing, quantization } = model;
  // As in a model file, so that converting a model does not change its predictions.
  const given = { preprocessing, quantization, asInFiles: !engine.choosesDevice };
  const compileFor = (target: CompileTarget) => compileInference(network, engineWeights(), target, given);
  const graph = await compileFor({ device });
  const isolation = await limitsOf(engine, network, graph, where);
  const inEngine = await engine.createSession(graph, { ...session, isolation, compileFor }).catch(namingFile(where));
  return { ...model, session: withFileName(inEngine, where) };
}

function forEngine<T extends Pick<Model, "network" | "weights">>({ weights, ...model }: T) {
  return { ...model, engineWeights: () => toEngineWeights(model.network, weights) };
}
