import { startWorker } from "../../src/web.ts";

/** The library, in its worker. */
export const verbs = startWorker({
  worker: () => new Worker(new URL("../../src/web-worker.ts", import.meta.url), { type: "module" }),
  baseUrl: document.baseURI,
});
