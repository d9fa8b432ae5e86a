/** The worker of `xception-ts/web`: the verbs, bound to a browser. */
import { FormatError } from "./base/errors.ts";
import { bind } from "./bind.ts";
import type { ModelParts } from "./model/model.ts";
import { listModels, removeModel, type WebDownloadOptions } from "./runtime/web/downloads.ts";
import { type WebPlatformOptions, webPlatform } from "./runtime/web/platform.ts";
import { serveVerbs } from "./runtime/web/remote/server.ts";
import type { Verbs } from "./verbs.ts";

/** Verbs whose options may name a signal, and a function for the progress of downloads; and the place of their options. */
const loading = {
  loadClassifier: 1,
  loadExplainer: 1,
  loadFeatureExtractor: 1,
  loadModel: 1,
  openModel: 1,
  loadWeights: 2,
} as const;

serveVerbs(globalThis as never, (platformOptions: WebPlatformOptions) => {
  const call = async (verb: keyof Verbs, args: readonly unknown[]): Promise<unknown> => {
    const at = verb in loading ? loading[verb as keyof typeof loading] : args.length;
    const { signal, onDownload, ...options } = (args[at] ?? {}) as Pick<WebDownloadOptions, "signal" | "onDownload">;
    const platform = webPlatform({ ...platformOptions, signal, onDownload });
    const addresses: string[] = [];
    const read = (address: string) => {
      addresses.push(address);
      return platform.downloads!.read(address);
    };
    const run = bind({ ...platform, downloads: { read } })[verb] as (...args: readonly unknown[]) => unknown;
    try {
      return await run(...args.slice(0, at), ...(verb in loading ? [options] : []));
    } catch (error) {
      // Damaged downloads would stay damaged; which of them it is, the error does not say.
      if (error instanceof FormatError) {
        await Promise.allSettled(addresses.map((address) => removeModel(address, platformOptions.baseUrl)));
      }
      throw error;
    }
  };
  const verbs = Object.keys(bind(webPlatform())) as (keyof Verbs)[];
  return {
    ...Object.fromEntries(verbs.map((verb) => [verb, (...args: unknown[]) => call(verb, args)])),
    saveModel: async (model: ModelParts) => {
      const { encodeModel } = await import("./model/model-writer.ts");
      return new Blob([encodeModel(model) as Uint8Array<ArrayBuffer>]);
    },
    listModels,
    removeModel: (address?: string) => removeModel(address, platformOptions.baseUrl),
  };
});
