import { availableParallelism, cpus } from "node:os";
import type { Fact } from "../../../src/report/document.ts";
import { packageVersion } from "../package-version.ts";

/** Hardware and software of a run: others may change the last digits. */
export async function machineFacts(): Promise<Fact[]> {
  const { engineVersion } = await import("../../../src/runtime/node/engine.ts");
  return [
    { name: "xception-ts", value: packageVersion },
    { name: "Node", value: process.versions.node },
    { name: "ONNX Runtime", value: await engineVersion() },
    { name: "CPU", value: `${availableParallelism()} × ${cpus()[0]?.model.trim() ?? "unknown"}` },
  ];
}
