import { inputShapeOf, type Network, outputLayer } from "../../graph/network.ts";
import type { NetworkOptions } from "../../models/registry.ts";
import type { Platform } from "../../platform.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";
import { formulaImages, formulaWeights } from "../../weights/formula.ts";
import type { Weights } from "../../weights/initialize.ts";
import { type Comparison, compareWithGolden, type TapDifference } from "./compare.ts";
import { type Golden, goldenBatch, goldenName } from "./golden.ts";
import { runGraph, tappedGraph, type VerifyLayout } from "./graph.ts";
import { goldenNetworks } from "./network.ts";

/** The largest differences that pass. */
export interface VerifyTolerance {
  /** Of a tap, as a share of its standard deviation; default 1e-3. */
  readonly taps: number;
  /** Of a probability; default 1e-4. */
  readonly probabilities: number;
}

export interface VerifyOptions {
  readonly platform: Platform;
  /** What the network is; the golden file says what is left open. */
  readonly network?: NetworkOptions;
  readonly tolerance?: VerifyTolerance;
  /** Default `inference`. */
  readonly layout?: VerifyLayout;
}

export interface VerifyNetworkOptions extends Omit<VerifyOptions, "network"> {
  readonly weights?: Weights;
  /** `[N, H, W, C]`, as many as the golden values are of. */
  readonly images?: FloatTensor;
}

/** What `verify` found; also the JSON of `xception verify --json`. */
export interface Verification {
  readonly network: string;
  readonly inputShape: readonly number[];
  /** Undefined without a classifier. */
  readonly classes: number | undefined;
  /** How many images went through the network. */
  readonly batchSize: number;
  readonly layout: VerifyLayout;
  readonly tolerance: VerifyTolerance;
  readonly taps: readonly (TapDifference & { readonly passed: boolean })[];
  readonly probabilities: { readonly difference: number; readonly passed: boolean } | undefined;
  readonly passed: boolean;
}

export const defaultTolerance: VerifyTolerance = { taps: 1e-3, probabilities: 1e-4 };

/**
 * Fills a network with weights from the formula, runs it on images from the formula, and compares what its layers give
 * with what another tool gave. Where the file leaves several sizes of images open, the closest one counts.
 * @param file the golden file's name, from which size and classes may be read.
 * @throws {FormatError} the file does not fit the network.
 * @throws {UsageError} neither the file nor the options say what the network is.
 * @throws {RuntimeUnavailableError} the engine does not run here.
 * @example
 * const golden = parseGolden(text, "xception-paper-150x150-10.json");
 * const { passed, taps } = await verify(golden, "xception-paper-150x150-10.json", { platform });
 */
export async function verify(golden: Golden, file: string, options: VerifyOptions): Promise<Verification> {
  let closest: Verification | undefined;
  for (const network of goldenNetworks(golden, file, options.network)) {
    const found = await verifyNetwork(network, golden, file, options);
    if (found.passed) return found;
    if (closest === undefined || excess(found) < excess(closest)) closest = found;
  }
  return closest!;
}

/**
 * Like `verify`, for a network that is there already.
 * @param options `weights` and `images`: default, from the formula.
 */
export async function verifyNetwork(
  network: Network,
  golden: Golden,
  file: string,
  {
    platform,
    tolerance = defaultTolerance,
    layout = "inference",
    weights = formulaWeights(network),
    images,
  }: VerifyNetworkOptions,
): Promise<Verification> {
  const batchSize = goldenBatch(golden);
  const inputShape = inputShapeOf(network) as readonly [number, number, number];
  const outputs = [...new Set([...Object.keys(golden.taps), network.output])];
  const graph = tappedGraph(network, weights, outputs, batchSize);
  const results = await runGraph(graph, layout, images ?? formulaImages(batchSize, inputShape), platform);

  const { config } = outputLayer(network);
  const probabilities = config.type === "Dense" ? (results[network.output] as FloatTensor) : undefined;
  const comparison = compareWithGolden(golden, results, probabilities, goldenName(file));
  return {
    network: network.name,
    inputShape,
    classes: probabilities?.shape[1],
    batchSize,
    layout,
    tolerance,
    ...judge(comparison, tolerance),
  };
}

function judge({ taps, probabilities }: Comparison, tolerance: VerifyTolerance) {
  // Comparisons with NaN are false, and a NaN must not pass.
  const judged = taps.map((tap) => ({
    ...tap,
    passed: tap.difference <= tolerance.taps && tap.statisticsDifference <= tolerance.taps,
  }));
  const top =
    probabilities === undefined
      ? undefined
      : { difference: probabilities, passed: probabilities <= tolerance.probabilities };
  return { taps: judged, probabilities: top, passed: judged.every(({ passed }) => passed) && top?.passed !== false };
}

/** The largest difference in units of its tolerance. */
function excess({ taps, probabilities, tolerance }: Verification): number {
  const all = taps.map(({ difference }) => difference / tolerance.taps);
  return Math.max(...all, (probabilities?.difference ?? 0) / tolerance.probabilities);
}
