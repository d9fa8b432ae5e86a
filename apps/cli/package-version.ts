import { createRequire } from "node:module";

/** Version of this package, which resolves itself by name both in source and when built. */
export const packageVersion = (createRequire(import.meta.url)("xception-ts/package.json") as { version: string })
  .version;
