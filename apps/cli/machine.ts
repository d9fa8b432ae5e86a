import { createRequire } from "node:module";
import { availableParallelism, cpus } from "node:os";
import { type Fact, factsOf } from "../../src/report/document.ts";

/** Version of this package, which resolves itself by name both in source and when built. */
export const packageVersion = (createRequire(import.meta.url)("xception-ts/package.json") as { version: string })
  .version;

/** Hardware and software of a run: others may change the last digits. */
export async function machineFacts(): Promise<Fact[]> {
  const { engineVersion } = await import("../../src/runtime/node/engine.ts");
  return factsOf({
    "xception-ts": packageVersion,
    Node: process.versions.node,
    "ONNX Runtime": await engineVersion(),
    CPU: `${availableParallelism()} × ${cpus()[0]?.model.trim() ?? "unknown"}`,
  });
}
