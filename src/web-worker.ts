/** The worker of `xception-ts/web`: the verbs, bound to a browser. */
import { FormatError } from "./base/errors.ts";
import { bind } from "./bind.ts";
import type { ModelParts } from "./model/model.ts";
import { listModels, removeModel, type WebDownloadOptions } from "./runtime/web/downloads.ts";
import { type WebPlatformOptions, webPlatform } from "./runtime/web/platform.ts";
import { serveVerbs } from "./runtime/web/remote/server.ts";

/** Verbs whose options may name a signal, and a function for the progress of downloads; and the place of their options. */
const loading = {
  loadClassifier: 1,
  loadExplainer: 1,
  loadFeatureExtractor: 1,
  loadModel: 1,
  openModel: 1,
  loadWeights: 2,
} as const;

type Hooks = Pick<WebDownloadOptions, "signal" | "onDownload">;

serveVerbs(globalThis as never, (platformOptions: WebPlatformOptions) => {
  const bound = (hooks: Hooks = {}) => bind(webPlatform({ ...platformOptions, ...hooks }));
  const withHooks = (verb: keyof typeof loading) => {
    return (...args: unknown[]) => {
      const { signal, onDownload, ...options } = (args[loading[verb]] ?? {}) as Hooks;
      const load = bound({ signal, onDownload })[verb] as (...args: unknown[]) => Promise<unknown>;
      return load(...args.slice(0, loading[verb]), options).catch(async (error: unknown) => {
        const source = args[loading[verb] - 1];
        // A damaged download would stay damaged.
        if (error instanceof FormatError && (typeof source === "string" || source instanceof URL)) {
          await removeModel(String(source), platformOptions.baseUrl).catch(() => {});
        }
        throw error;
      });
    };
  };
  return {
    ...bound(),
    ...Object.fromEntries(Object.keys(loading).map((verb) => [verb, withHooks(verb as keyof typeof loading)])),
    saveModel: async (model: ModelParts) => {
      const { encodeModel } = await import("./model/model-writer.ts");
      return new Blob([encodeModel(model) as Uint8Array<ArrayBuffer>]);
    },
    listModels,
    removeModel: (address?: string) => removeModel(address, platformOptions.baseUrl),
  };
});
