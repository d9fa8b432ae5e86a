import { imageInput } from "../../compiler/lower.ts";
import { readOnnx } from "../../compiler/onnx/reader.ts";
import type { Engine, Session, SessionOptions } from "../../platform.ts";
import { metadataKey } from "../../weights/metadata-key.ts";
import { createGraphSession, type GraphImages, graphImages } from "../model/foreign-graph.ts";
import { defaultPreprocessing, type ImagePreprocessing } from "../model/model.ts";
import { classNames, usualPreprocessing } from "./complete-model.ts";
import { onnxFormat, wholeOnnx } from "./format-onnx.ts";
import type { LoadModelOptions } from "./load-model.ts";
import type { WeightsSource } from "./weights-file.ts";

/** A graph of another tool in the engine, to be fed and to answer as a model file is. */
export interface LoadedGraph {
  readonly session: Session;
  readonly images: GraphImages;
  readonly labels: readonly string[];
  readonly preprocessing: ImagePreprocessing;
  /** What had to be taken for granted of it, in sentences. */
  readonly notes: readonly string[];
}

/** Whether it is a graph of another tool, to be run as it is: no option says into which network its weights are to go. */
export function isGraphToRun({ bytes, where }: WeightsSource, options: LoadModelOptions): boolean {
  const { network = {}, architecture, allowMissing } = options;
  if (architecture !== undefined || allowMissing !== undefined || !onnxFormat.recognizes(bytes)) return false;
  if (Object.keys(network).some((option) => option !== "inputShape")) return false;
  return !readOnnx(bytes, where).metadata.has(metadataKey);
}

/**
 * Loads a graph of another tool into the engine, as it is.
 * @throws {FormatError} it does not tell classes of RGB images apart.
 * @throws {UsageError} it leaves the size of images open, or there are not as many labels as classes.
 * @throws {RuntimeUnavailableError} the engine does not run here, or refuses the graph.
 */
export async function loadGraph(
  source: WeightsSource,
  { network, labels: given }: LoadModelOptions,
  engine: Engine,
  options?: SessionOptions,
): Promise<LoadedGraph> {
  const { where } = source;
  const { bytes, content } = await wholeOnnx(source);
  const images = graphImages(content, where, network?.inputShape);
  const preprocessing = defaultPreprocessing;
  const session = await createGraphSession(bytes, engine, { images, preprocessing, where, session: options });
  try {
    const { labels, notes } = await classNames(await countClasses(session, images), given);
    const maker = labels.length === 1 ? "sigmoid" : "softmax";
    const made = images.givesProbabilities ? [] : [`It ends without a ${maker}; that was taken of its answers.`];
    return { session, images, labels, preprocessing, notes: [asItIs, ...made, usualPreprocessing, ...notes] };
  } catch (error) {
    await session.dispose();
    throw error;
  }
}

const asItIs = "The graph of another tool was run as it is.";

/** What no file tells for sure, one answer does. */
async function countClasses(session: Session, { size: [height, width], output }: GraphImages): Promise<number> {
  const data = new Uint8Array(height * width * 3).fill(127);
  const { [output]: answer } = await session.run({
    [imageInput]: { type: "uint8", shape: [1, height, width, 3], data },
  });
  return answer!.shape[1]!;
}
