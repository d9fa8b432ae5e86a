import { messageOf } from "../../src/base/errors.ts";
import type { Source } from "../../src/base/platform.ts";
import { bind } from "../../src/bind.ts";
import { outputLayer } from "../../src/graph/network.ts";
import type { StoredType } from "../../src/graph/weights.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { updateArchitecture } from "../../src/model/update-architecture.ts";
import { webPlatform } from "../../src/runtime/web/platform.ts";
import { parseGolden } from "../../src/tasks/verify/golden.ts";
import { type Verification, verifyGolden } from "../../src/tasks/verify/verify.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";
import { readArchive, writeArchive } from "./teach/archive.ts";
import { fitHead, type Head, type HeadData } from "./teach/head.ts";

/** Longest side of a stored photo, and side of a thumbnail, in pixels. */
const sizes = { photo: 640, thumbnail: 96 } as const;

/** What the page's own worker does. */
export const jobs = {
  /**
   * Prepares a training image: photos larger than the longest side are reduced, others stay as they are.
   * @throws {DOMException} the browser cannot decode it.
   */
  async prepareImage(file: Blob): Promise<{ readonly file: Blob; readonly thumbnail: Blob }> {
    const bitmap = await createImageBitmap(file);
    try {
      const { width, height } = bitmap;
      const scale = Math.min(1, sizes.photo / Math.max(width, height));
      const reduced = scale === 1 ? file : await drawn(bitmap, [0, 0, width, height], width * scale, height * scale);
      const side = Math.min(width, height);
      const middle = [(width - side) / 2, (height - side) / 2, side, side] as const;
      return { file: reduced, thumbnail: await drawn(bitmap, middle, sizes.thumbnail, sizes.thumbnail) };
    } finally {
      bitmap.close();
    }
  },

  /** Fits a classifier to embeddings; reports each epoch. */
  async fitHead(data: HeadData, report: (progress: unknown) => void): Promise<Head> {
    return fitHead(data, (epoch, share) => report({ epoch, share }));
  },

  /** Writes the model file of a backbone with a new classifier. */
  async writeModel(request: {
    readonly source: Source;
    readonly labels: readonly string[];
    readonly kernel: Float32Array;
    readonly bias: Float32Array;
  }): Promise<Blob> {
    const { source, labels, kernel, bias } = request;
    const loaded = await bind(webPlatform()).loadModel(source);
    const { architecture, network, weights } = updateArchitecture(loaded, { classes: labels.length });
    const { name } = outputLayer(network);
    const classifier = new Map([
      [`${name}/kernel`, floatTensor([kernel.length / labels.length, labels.length], kernel)],
      [`${name}/bias`, floatTensor([labels.length], bias)],
    ]);
    const { preprocessing, license } = loaded;
    const all = new Map([...weights, ...classifier]);
    const bytes = encodeModel({ architecture, weights: all, labels, preprocessing, license });
    return new Blob([bytes as Uint8Array<ArrayBuffer>]);
  },

  /** Writes a model file again, with its kernels stored in another type. */
  async convertModel({ file, dtype }: { readonly file: Blob; readonly dtype: StoredType }): Promise<Blob> {
    const { bytes } = await bind(webPlatform()).convert(file, { to: "onnx", dtype });
    return new Blob([bytes as Uint8Array<ArrayBuffer>]);
  },

  writeArchive,
  readArchive,

  /** Computes a small network with synthetic weights and compares it with what Keras computed. */
  async compareWithKeras(golden: string): Promise<Verification> {
    const name = "xception-paper-71x71-10.json";
    return verifyGolden(parseGolden(golden, name), name, { platform: webPlatform() });
  },
};

async function drawn(
  bitmap: ImageBitmap,
  [x, y, width, height]: readonly [number, number, number, number],
  toWidth: number,
  toHeight: number,
): Promise<Blob> {
  const canvas = new OffscreenCanvas(Math.round(toWidth), Math.round(toHeight));
  const context = canvas.getContext("2d")!;
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, x, y, width, height, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
}

/** A request of the page. */
interface JobRequest {
  readonly id: number;
  readonly name: keyof typeof jobs;
  readonly input: never;
}

addEventListener("message", async ({ data: { id, name, input } }: MessageEvent<JobRequest>) => {
  try {
    const result = await jobs[name](input, (progress) => postMessage({ id, progress }));
    postMessage({ id, result });
  } catch (error) {
    postMessage({ id, error: messageOf(error) });
  }
});
