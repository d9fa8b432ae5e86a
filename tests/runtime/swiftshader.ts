import { existsSync } from "node:fs";
import { nodePlatform } from "../../src/runtime/node/platform.ts";

/** Debian's chromium brings a graphics driver in software; tests may use it where no other one is named. */
const chromiumDriver = "/usr/lib/chromium/vk_swiftshader_icd.json";

/** Why there is no WebGPU on this machine; undefined if there is. */
export async function whyNoWebGpu(): Promise<string | undefined> {
  if (existsSync(chromiumDriver)) process.env.VK_ICD_FILENAMES ??= chromiumDriver;
  const status = (await nodePlatform.engine.listDevices()).find(({ device }) => device === "webgpu");
  if (status === undefined) return "the engine knows no WebGPU on this system";
  return status.reason && `no graphics adapter: ${status.reason}; Debian's chromium and libvulkan1 bring one`;
}
