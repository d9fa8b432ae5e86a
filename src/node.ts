/** The whole package, bound to Node: its files, downloads, image decoder and engine. */
import { bind } from "./bind.ts";
import { nodePlatform } from "./runtime/node/platform.ts";

export * from "./index.ts";
export type { DownloadProgress } from "./runtime/node/download-attempt.ts";
export type { DownloadOptions } from "./runtime/node/downloads.ts";
export { cachedDownloads, type DownloadSettings, downloadSettings } from "./runtime/node/downloads.ts";
export { isMpiProcess, joinMpi, type MpiOptions } from "./runtime/node/mpi.ts";
export { nodePlatform } from "./runtime/node/platform.ts";

export const {
  convert,
  evaluate,
  loadClassifier,
  loadFeatureExtractor,
  loadModel,
  loadWeights,
  openModel,
  readFolder,
  saveModel,
  train,
  verify,
} = bind(nodePlatform);
