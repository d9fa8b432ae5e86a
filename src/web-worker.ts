/** The worker of `xception-ts/web`: the verbs, bound to a browser. */
import { bind } from "./bind.ts";
import type { ModelParts } from "./model/model.ts";
import { encodeModel } from "./model/model-file.ts";
import { listModels, removeModel, type WebDownloadOptions } from "./runtime/web/downloads.ts";
import { type WebPlatformOptions, webPlatform } from "./runtime/web/platform.ts";
import { serveVerbs } from "./runtime/web/remote/server.ts";
import { embed } from "./tasks/features/feature-extractor.ts";

/** Verbs that download: their options may name a signal, and a function for the progress. */
const loading = [
  "loadClassifier",
  "loadExplainer",
  "loadFeatureExtractor",
  "loadModel",
  "openModel",
  "loadWeights",
  "convert",
  "verify",
] as const;

type Hooks = Pick<WebDownloadOptions, "signal" | "onDownload">;

serveVerbs(globalThis as never, (platformOptions: WebPlatformOptions) => {
  const bound = (hooks: Hooks = {}) => bind(webPlatform({ ...platformOptions, ...hooks }));
  const withHooks = (verb: (typeof loading)[number]) => {
    return (...args: unknown[]) => {
      const last = args.length - 1;
      const { signal, onDownload, ...options } = (last > 0 ? args[last] : undefined) as Hooks;
      const verbs = bound({ signal, onDownload });
      return (verbs[verb] as (...args: unknown[]) => unknown)(...args.slice(0, Math.max(1, last)), options);
    };
  };
  const { train, evaluate } = bound();
  return {
    ...Object.fromEntries(loading.map((verb) => [verb, withHooks(verb)])),
    train,
    evaluate,
    embed,
    saveModel: (model: ModelParts) => new Blob([encodeModel(model) as Uint8Array<ArrayBuffer>]),
    listModels,
    removeModel: (address?: string) => removeModel(address, platformOptions.baseUrl),
  };
});
