/** `npm run readme`: rewrites the generated blocks of the documents. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { refreshBlocks } from "./generated-blocks.ts";
import { root } from "./project-root.mjs";
import { documents, generators } from "./readme-generators.ts";

for (const document of documents) {
  const path = join(root, document);
  const before = readFileSync(path, "utf8");
  const after = refreshBlocks(before, generators);
  if (after === before) continue;
  writeFileSync(path, after);
  console.error(`${document}: updated`);
}
