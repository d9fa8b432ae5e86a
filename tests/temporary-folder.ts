import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

const prefix = "xception-tests-";

/**
 * Gives a test run, and the processes it starts, a temporary folder of its own, and removes it at the end, so that a killed test
 * or browser leaves nothing behind.
 */
export default function setup(): void {
  // Vitest calls this once for each project.
  if (basename(tmpdir()).startsWith(prefix)) return;
  const folder = mkdtempSync(join(tmpdir(), prefix));
  for (const name of ["TMPDIR", "TMP", "TEMP"]) process.env[name] = folder;
  // A teardown would be called while the workers still run.
  process.once("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
}
