import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import { RuntimeUnavailableError } from "../../src/base/errors.ts";
import type { DeviceStatus } from "../../src/base/platform.ts";
import { packageVersion } from "./package-version.ts";

/** What this machine brings along, and whether the native parts run on it. */
export interface Diagnosis {
  readonly xception: string;
  readonly node: string;
  /** Operating system and CPU, e.g. `linux-x64`. */
  readonly platform: string;
  readonly cpu: { readonly model: string; readonly cores: number };
  readonly memory: { readonly totalBytes: number; readonly freeBytes: number };
  /** ONNX Runtime, and the devices it knows: whether it can compute on them here. */
  readonly onnxruntime: Part<{ readonly devices: readonly DeviceStatus[] }>;
  /** The image decoder. */
  readonly sharp: Part<object>;
}

/** A native part: its version and more if it loads, else the reason why it does not. */
export type Part<T> =
  | ({ readonly loads: true; readonly version: string } & T)
  | { readonly loads: false; reason: string };

/** Loads the native parts; passed in, so that a machine on which one fails can be tested. */
export interface PartLoaders {
  readonly onnxruntime: () => Promise<{
    engineVersion(): Promise<string>;
    listDevices(): Promise<readonly DeviceStatus[]>;
  }>;
  readonly sharp: () => Promise<{ readonly default: { readonly versions: { readonly sharp?: string } } }>;
}

const installedParts: PartLoaders = {
  onnxruntime: () => import("../../src/runtime/node/engine.ts"),
  sharp: () => import("sharp"),
};

export async function diagnose(loaders: PartLoaders = installedParts): Promise<Diagnosis> {
  return {
    xception: packageVersion,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    cpu: { model: cpus()[0]?.model.trim() ?? "unknown", cores: availableParallelism() },
    memory: { totalBytes: totalmem(), freeBytes: freemem() },
    onnxruntime: await load(loaders.onnxruntime, async (engine) => ({
      version: await engine.engineVersion(),
      devices: await engine.listDevices(),
    })),
    sharp: await load(loaders.sharp, async (sharp) => ({ version: sharp.default.versions.sharp ?? "unknown" })),
  };
}

export function describeDiagnosis(diagnosis: Diagnosis): string {
  const { cpu, memory, onnxruntime, sharp } = diagnosis;
  const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const rows = [
    ["xception", diagnosis.xception],
    ["node", diagnosis.node],
    ["platform", diagnosis.platform],
    ["CPU", `${cpu.cores} ${cpu.cores === 1 ? "core" : "cores"}, ${cpu.model}`],
    ["memory", `${gib(memory.totalBytes)}, ${gib(memory.freeBytes)} free`],
    ["onnxruntime", partText(onnxruntime, (part) => `, computes on ${available(part.devices)}`)],
    ...(onnxruntime.loads ? unavailable(onnxruntime.devices) : []),
    ["sharp", partText(sharp, () => "")],
  ];
  return rows.map(([name, value]) => `${name!.padEnd(12)} ${value}\n`).join("");
}

function available(devices: readonly DeviceStatus[]): string {
  return devices.flatMap((status) => (status.available ? [status.device] : [])).join(", ");
}

function unavailable(devices: readonly DeviceStatus[]): (readonly [string, string])[] {
  return devices.flatMap(({ device, reason }) => (reason === undefined ? [] : [["", `not on ${device}: ${reason}`]]));
}

/** @throws {RuntimeUnavailableError} a native part does not load. */
export function checkParts(diagnosis: Diagnosis): void {
  for (const name of ["onnxruntime", "sharp"] as const) {
    const part = diagnosis[name];
    if (part.loads) continue;
    throw new RuntimeUnavailableError({
      where: name,
      what: `it does not load (${part.reason})`,
      remedy: "Install the package again on this machine, with its optional dependencies.",
    });
  }
}

async function load<M, T>(
  loader: () => Promise<M>,
  inspect: (module: M) => Promise<{ version: string } & T>,
): Promise<Part<T>> {
  try {
    return { loads: true, ...(await inspect(await loader())) };
  } catch (error) {
    return { loads: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

function partText<T>(part: Part<T>, more: (part: Part<T> & { loads: true }) => string): string {
  return part.loads ? part.version + more(part) : `does not load: ${part.reason}`;
}
