import { createRequire } from "node:module";

/** Of this package, from its package.json; the package finds itself by name, from source as well as when built. */
export const packageVersion = (createRequire(import.meta.url)("xception-ts/package.json") as { version: string })
  .version;
