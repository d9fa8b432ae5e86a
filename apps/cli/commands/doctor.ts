import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import type { Command } from "commander";
import { messageOf, RuntimeUnavailableError } from "../../../src/base/errors.ts";
import type { DeviceStatus } from "../../../src/base/platform.ts";
import { counted } from "../../../src/report/numbers.ts";
import { type CliIo, writeJson } from "../io.ts";
import { packageVersion } from "../machine.ts";
import { addHelp } from "../options.ts";

export default function registerDoctor(command: Command, io: CliIo): void {
  addHelp(command, {
    details: "The exit code is 1 if a native library does not load.",
    examples: ["xception doctor", "xception doctor --json"],
  }).action(async (flags: { json?: boolean }) => {
    const diagnosis = await diagnose();
    if (flags.json) writeJson(io, diagnosis);
    else io.stdout(describeDiagnosis(diagnosis));
    assertLibrariesLoad(diagnosis);
  });
}

/** The machine, and whether the native libraries run on it. */
export interface Diagnosis {
  readonly xception: string;
  readonly node: string;
  /** Operating system and CPU, e.g. `linux-x64`. */
  readonly platform: string;
  readonly cpu: { readonly model: string; readonly cores: number };
  readonly memory: { readonly totalBytes: number; readonly freeBytes: number };
  /** ONNX Runtime, and the status of the devices it supports. */
  readonly onnxruntime: NativeLibrary<{ readonly devices: readonly DeviceStatus[] }>;
  /** The image decoder. */
  readonly sharp: NativeLibrary<object>;
}

/** A native library: its version and more if it loads, else the reason why it does not. */
type NativeLibrary<T> =
  | ({ readonly loads: true; readonly version: string } & T)
  | { readonly loads: false; reason: string };

const installedLibraries = {
  onnxruntime: (): Promise<{
    engineVersion(): Promise<string>;
    listDevices(): Promise<readonly DeviceStatus[]>;
  }> => import("../../../src/runtime/node/engine.ts"),
  sharp: (): Promise<{ readonly default: { readonly versions: { readonly sharp?: string } } }> => import("sharp"),
};

/**
 * Diagnoses the machine.
 * @param loaders load the native libraries.
 */
export async function diagnose(loaders = installedLibraries): Promise<Diagnosis> {
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

/** Describes the diagnosis as text, one line for each finding. */
export function describeDiagnosis(diagnosis: Diagnosis): string {
  const { cpu, memory, onnxruntime, sharp } = diagnosis;
  const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const devices = onnxruntime.loads ? onnxruntime.devices : [];
  const available = devices.flatMap((status) => (status.available ? [status.device] : []));
  const rows = [
    ["xception", diagnosis.xception],
    ["node", diagnosis.node],
    ["platform", diagnosis.platform],
    ["CPU", `${counted(cpu.cores, "core")}, ${cpu.model}`],
    ["memory", `${gib(memory.totalBytes)}, ${gib(memory.freeBytes)} free`],
    ["onnxruntime", versionText(onnxruntime, `, runs on ${available.join(", ")}`)],
    ...devices.flatMap(({ device, reason }) => (reason === undefined ? [] : [["", `not on ${device}: ${reason}`]])),
    ["sharp", versionText(sharp)],
  ];
  return rows.map(([name, value]) => `${name!.padEnd(12)} ${value}\n`).join("");
}

/** @throws {RuntimeUnavailableError} a native library does not load. */
export function assertLibrariesLoad(diagnosis: Diagnosis): void {
  for (const name of ["onnxruntime", "sharp"] as const) {
    const library = diagnosis[name];
    if (library.loads) continue;
    throw new RuntimeUnavailableError({
      where: name,
      what: `it does not load (${library.reason})`,
      remedy: "Reinstall the package on this machine, with its optional dependencies.",
    });
  }
}

async function load<M, T>(
  loader: () => Promise<M>,
  inspect: (module: M) => Promise<{ version: string } & T>,
): Promise<NativeLibrary<T>> {
  try {
    return { loads: true, ...(await inspect(await loader())) };
  } catch (error) {
    return { loads: false, reason: messageOf(error) };
  }
}

function versionText(library: NativeLibrary<object>, more = ""): string {
  return library.loads ? library.version + more : `does not load: ${library.reason}`;
}
