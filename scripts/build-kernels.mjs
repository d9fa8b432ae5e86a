/** Compiles assembly/kernels.ts to src/runtime/wasm/kernel-modules.ts, where bundlers and browsers find it without a URL. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { deflateRawSync } from "node:zlib";
import { root } from "./project-root.mjs";

/**
 * Compiles the kernels.
 * @param {boolean} isRelaxed with relaxed SIMD.
 * @returns {Buffer} the module.
 */
export function compileKernels(isRelaxed) {
  const folder = mkdtempSync(join(tmpdir(), "xception-kernels-"));
  const output = join(folder, "kernels.wasm");
  const compiler = join(root, "node_modules", "assemblyscript", "bin", "asc.js");
  const features = ["--enable", "simd", ...(isRelaxed ? ["--enable", "relaxed-simd"] : [])];
  const memory = ["--importMemory", "--maximumMemory", "65536"];
  // Warning 112: functions of vectors cannot be exported; only other kernels call them.
  const options = [
    ...features,
    ...memory,
    "-O3",
    "--noAssert",
    "--disableWarning",
    "112",
    "--runtime",
    "stub",
    "--outFile",
    output,
  ];
  try {
    const { status } = spawnSync(process.execPath, [compiler, "assembly/kernels.ts", ...options], {
      cwd: root,
      stdio: ["ignore", 2, "inherit"],
    });
    if (status !== 0) throw new Error("assembly/kernels.ts does not compile; see the compiler's messages above.");
    return readFileSync(output);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @param {boolean} isRelaxed */
function encoded(isRelaxed) {
  return deflateRawSync(compileKernels(isRelaxed), { level: 9 }).toString("base64");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = `// Generated from assembly/kernels.ts by \`npm run kernels\`; a test compares it with the source.

/** The kernels with relaxed SIMD, whose multiply-add is one instruction: a module of WebAssembly, deflated, in base64. */
export const relaxedKernels =
  "${encoded(true)}";

/** The kernels with the SIMD instructions that every engine of WebAssembly has. */
export const plainKernels =
  "${encoded(false)}";
`;
  writeFileSync(join(root, "src/runtime/wasm/kernel-modules.ts"), text);
}
