/** The whole package, bound to Node: its files, downloads, image decoder and engine. */
import { bind } from "./bind.ts";
import { nodePlatform } from "./runtime/node/platform.ts";

export * from "./index.ts";
export type { Checksum } from "./runtime/node/checksum.ts";
export type { DownloadOptions } from "./runtime/node/download.ts";
export type { DownloadProgress } from "./runtime/node/download-attempt.ts";
export { cachedDownloads, type DownloadSettings, downloadSettings } from "./runtime/node/downloads.ts";
export { isMpiProcess, joinMpi, type MpiOptions } from "./runtime/node/mpi.ts";
export { nodePlatform } from "./runtime/node/platform.ts";

export const {
  /** {@inheritDoc Verbs.convert} */
  convert,
  /** {@inheritDoc Verbs.embed} */
  embed,
  /** {@inheritDoc Verbs.evaluate} */
  evaluate,
  /** {@inheritDoc Verbs.loadClassifier} */
  loadClassifier,
  /** {@inheritDoc Verbs.loadExplainer} */
  loadExplainer,
  /** {@inheritDoc Verbs.loadFeatureExtractor} */
  loadFeatureExtractor,
  /** {@inheritDoc Verbs.loadModel} */
  loadModel,
  /** {@inheritDoc Verbs.loadWeights} */
  loadWeights,
  /** {@inheritDoc Verbs.openModel} */
  openModel,
  /** {@inheritDoc Verbs.quantize} */
  quantize,
  /** {@inheritDoc Verbs.readFolder} */
  readFolder,
  /** {@inheritDoc Verbs.saveModel} */
  saveModel,
  /** {@inheritDoc Verbs.search} */
  search,
  /** {@inheritDoc Verbs.train} */
  train,
  /** {@inheritDoc Verbs.verify} */
  verify,
} = bind(nodePlatform);
