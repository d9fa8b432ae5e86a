import { createRequire } from "node:module";
import { availableParallelism, cpus } from "node:os";
import type { Fact } from "../../src/report/document.ts";

/** Version of this package, which resolves itself by name both in source and when built. */
export const packageVersion = (createRequire(import.meta.url)("xception-ts/package.json") as { version: string })
  .version;

/** Hardware and software of a run: others may change the last digits. */
export async function machineFacts(): Promise<Fact[]> {
  const { engineVersion } = await import("../../src/runtime/node/engine.ts");
  return [
    { name: "xception-ts", value: packageVersion },
    { name: "Node", value: process.versions.node },
    { name: "ONNX Runtime", value: await engineVersion() },
    { name: "CPU", value: `${availableParallelism()} × ${cpus()[0]?.model.trim() ?? "unknown"}` },
  ];
}
