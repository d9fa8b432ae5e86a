import { imageInput } from "../../compiler/lower.ts";
import { FormatError, RuntimeUnavailableError, XceptionError } from "../../errors.ts";
import type { Engine, Session, SessionOptions, Tensors } from "../../platform.ts";
import { type FloatTensor, floatTensor, type Tensor } from "../../tensor/tensor.ts";
import { classScores, type GraphImages, toGraphInput } from "./graph-images.ts";
import { preparationModel } from "./image-preparation.ts";
import { type ImagePreprocessing, resizesInGraph } from "./model.ts";

/** What a graph of another tool needs to answer as a model file does. */
export interface GraphSessionOptions {
  readonly images: GraphImages;
  readonly preprocessing: ImagePreprocessing;
  /** What errors call the file. */
  readonly where: string;
  readonly session?: SessionOptions | undefined;
}

/**
 * Loads a graph of another tool, as it is, into a session that is fed as that of a model file: with bytes `images`
 * `[N, H, W, 3]`. It brings them to the graph's size, scales them, and makes probabilities of logits.
 * @throws {RuntimeUnavailableError} the engine does not run here, or refuses the graph.
 */
export async function createGraphSession(
  graph: Uint8Array,
  engine: Engine,
  options: GraphSessionOptions,
): Promise<Session> {
  const { images, preprocessing, session, where } = options;
  const network = await engine.createSession(graph, session).catch((error: unknown): never => {
    if (!(error instanceof RuntimeUnavailableError)) throw error;
    throw new RuntimeUnavailableError({ ...error.parts, where: `${where}, ${error.parts.where}`, cause: error });
  });
  const preparation = resizesInGraph(preprocessing)
    ? await engine.createSession(preparationModel(images.size, preprocessing), { threads: 1 })
    : undefined;
  return new GraphSession(network, preparation, options);
}

class GraphSession implements Session {
  readonly #network: Session;
  readonly #preparation: Session | undefined;
  readonly #options: GraphSessionOptions;

  constructor(network: Session, preparation: Session | undefined, options: GraphSessionOptions) {
    this.#network = network;
    this.#preparation = preparation;
    this.#options = options;
  }

  async run({ [imageInput]: images }: Tensors): Promise<Tensors> {
    const [count, height, width] = images!.shape as [number, number, number];
    const bytes = height * width * 3;
    const rows: Float32Array[] = [];
    // One at a time: many exporters fix the batch at 1.
    for (let row = 0; row < count; row++) {
      const data = (images!.data as Uint8Array).subarray(row * bytes, (row + 1) * bytes);
      rows.push(await this.#answer({ type: "uint8", shape: [1, height, width, 3], data }));
    }
    const classes = rows[0]!.length;
    const all = floatTensor([count, classes]);
    for (const [row, scores] of rows.entries()) all.data.set(scores, row * classes);
    return { [this.#options.images.output]: all };
  }

  endProfiling(): ReturnType<Session["endProfiling"]> {
    return this.#network.endProfiling();
  }

  async dispose(): Promise<void> {
    await Promise.all([this.#network.dispose(), this.#preparation?.dispose()]);
  }

  async #answer(image: Tensor<"uint8">): Promise<Float32Array> {
    const { images, preprocessing, where } = this.#options;
    const sized = this.#preparation ? (await this.#preparation.run({ [imageInput]: image })).pixels! : image;
    const fed = toGraphInput(images, sized.data as Uint8Array, preprocessing);
    const { [images.output]: answer } = await this.#network.run({ [images.input]: fed }).catch(refusedBy(where));
    return classScores(images, answer as FloatTensor, where);
  }
}

/** What the engine says of a graph that cannot compute what it is fed. */
function refusedBy(where: string) {
  return (cause: unknown): never => {
    if (cause instanceof XceptionError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FormatError({ where, what: `its graph cannot be run on an image (${reason})`, cause });
  };
}
