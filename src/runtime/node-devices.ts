import { RuntimeUnavailableError } from "../errors.ts";
import type { Device, DeviceStatus } from "../platform.ts";
import { loadEngine } from "./node-engine.ts";

/** The smallest model there is: y = max(x, 0) for one number. A test makes it anew with the compiler. */
export const probeModel = Uint8Array.from(
  atob(
    "CAkSC3hjZXB0aW9uLXRzOkIKFAoBeBIBeRoGUmVsdTp5IgRSZWx1Egh4Y2VwdGlvbloPCgF4EgoKCAgBEgQKAggBYg8KAXkSCgoICAESBAoCCAFCAhAS",
  ),
  (character) => character.charCodeAt(0),
);

const remedies: Readonly<Partial<Record<Device, string>>> = {
  webgpu:
    "It needs a GPU with a driver of Vulkan, Direct3D 12 or Metal, on Linux the library libvulkan1 too; " +
    "a driver in software, as SwiftShader, is named with VK_ICD_FILENAMES.",
  cuda:
    "It needs an NVIDIA card with CUDA 12 and cuDNN 9, and onnxruntime-node's CUDA libraries: its script/install.js, " +
    "run with --onnxruntime-node-install=cuda12, downloads them.",
  tensorrt:
    "It needs an NVIDIA card with CUDA 12 and TensorRT, and onnxruntime-node's CUDA libraries: its script/install.js, " +
    "run with --onnxruntime-node-install=cuda12, downloads them.",
  dml: "It needs Windows with DirectX 12.",
  coreml: "It needs macOS.",
};

/** Version of the native engine. */
export async function engineVersion(): Promise<string> {
  return (await loadEngine()).env.versions.node ?? "unknown";
}

/** Every device that the engine of this operating system knows, with the outcome of loading a tiny model there. */
export async function listDevices(): Promise<readonly DeviceStatus[]> {
  const engine = await loadEngine();
  const native = engine.listSupportedBackends().map(({ name }) => name as Device);
  const statuses: DeviceStatus[] = [];
  for (const device of [...native, "wasm"] as const) {
    const reason = device === "wasm" ? await whyNoWebAssembly() : await whyUnavailable(device);
    statuses.push({ device, available: reason === undefined, ...(reason !== undefined && { reason }) });
  }
  return statuses;
}

/** Why the native engine cannot compute on a device; undefined if it can. */
export async function whyUnavailable(device: Device): Promise<string | undefined> {
  try {
    const engine = await loadEngine();
    const settings = { executionProviders: [device], logSeverityLevel: 4 } as const;
    const session = await engine.InferenceSession.create(probeModel, settings);
    await session.release();
    return undefined;
  } catch (error) {
    return firstSentence(error);
  }
}

/** What to throw when a device is not there: what is, and how to get it. */
export function unavailable(device: Device, reason: string): RuntimeUnavailableError {
  return new RuntimeUnavailableError({
    where: `device "${device}"`,
    what: `ONNX Runtime cannot compute on it here (${reason})`,
    expected: "cpu or wasm, which run everywhere, or another device that `xception doctor` finds",
    ...(remedies[device] !== undefined && { remedy: remedies[device] }),
  });
}

async function whyNoWebAssembly(): Promise<string | undefined> {
  try {
    const { createWebSession } = await import("./web-session.ts");
    const session = await createWebSession(probeModel);
    await session.dispose();
    return undefined;
  } catch (error) {
    return firstSentence(error);
  }
}

/** Without the place in the engine's sources, and without its line breaks. */
function firstSentence(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message
    .trim()
    .split("\n")[0]!
    .replace(/^\/\S+:\d+ .* was false\. /, "")
    .replace(/[.]$/, "");
}
