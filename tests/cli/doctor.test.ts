import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { assertLibrariesLoad, type Diagnosis, describeDiagnosis, diagnose } from "../../apps/cli/commands/doctor.ts";
import packageJson from "../../package.json" with { type: "json" };
import { build } from "../../scripts/build.mjs";
import { root } from "../../scripts/project-root.mjs";
import { capture } from "./capture.ts";

const healthy: Diagnosis = {
  xception: "1.2.3",
  node: "20.20.2",
  platform: "linux-x64",
  cpu: { model: "Abacus 9", cores: 2 },
  memory: { totalBytes: 8 * 2 ** 30, freeBytes: 2.5 * 2 ** 30 },
  onnxruntime: {
    loads: true,
    version: "1.30.0",
    devices: [
      { device: "cpu", available: true },
      { device: "webgpu", available: true },
      { device: "cuda", available: false, reason: "Failed to load shared library" },
    ],
  },
  sharp: { loads: true, version: "0.35.5" },
};

describe("doctor", () => {
  it("finds the engine and the image decoder of this machine", async () => {
    const { exitCode, stdout, stderr } = await capture(["doctor", "--json"]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    const diagnosis = JSON.parse(stdout) as Diagnosis;
    expect(diagnosis).toMatchObject({ xception: packageJson.version, node: process.versions.node });
    expect(diagnosis.onnxruntime).toMatchObject({ loads: true, version: expect.stringMatching(/^1\.\d+\.\d+/) });
    const everywhere = (["cpu", "wasm"] as const).map((device) => ({ device, available: true }));
    expect(diagnosis.onnxruntime).toHaveProperty("devices", expect.arrayContaining(everywhere));
    expect(diagnosis.sharp).toEqual({ loads: true, version: expect.stringMatching(/^\d+\.\d+\.\d+/) });
    expect(diagnosis.cpu.cores).toBeGreaterThanOrEqual(1);
  });

  it("prints nothing that a driver says", async () => {
    build(root);
    // The loader of Vulkan complains about such a name.
    const env = { ...process.env, VK_ICD_FILENAMES: "/nowhere/driver.json" };
    const words = [join(root, "dist/apps/cli/main.js"), "doctor", "--json"];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, words, { cwd: root, env });
    expect(stderr).toBe("");
    const { onnxruntime } = JSON.parse(stdout) as Diagnosis;
    expect(onnxruntime.loads).toBe(true);
  });

  it("prints one line for each finding", () => {
    expect(describeDiagnosis(healthy)).toMatchInlineSnapshot(`
      "xception     1.2.3
      node         20.20.2
      platform     linux-x64
      CPU          2 cores, Abacus 9
      memory       8.0 GiB, 2.5 GiB free
      onnxruntime  1.30.0, runs on cpu, webgpu
                   not on cuda: Failed to load shared library
      sharp        0.35.5
      "
    `);
  });

  it("says why a library does not load", async () => {
    const broken = await diagnose({
      onnxruntime: () => Promise.reject(new Error("no such library")),
      sharp: () => Promise.resolve({ default: { versions: { sharp: "0.35.5" } } }),
    });
    expect(broken.onnxruntime).toEqual({ loads: false, reason: "no such library" });
    expect(broken.sharp).toEqual({ loads: true, version: "0.35.5" });
    expect(describeDiagnosis(broken)).toContain("onnxruntime  does not load: no such library\n");
    expect(() => assertLibrariesLoad(broken)).toThrow(
      "onnxruntime: it does not load (no such library). " +
        "Reinstall the package on this machine, with its optional dependencies.",
    );
    expect(() => assertLibrariesLoad(healthy)).not.toThrow();
  });
});
