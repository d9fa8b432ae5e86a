import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

const prefix = "xception-tests-";

/**
 * Gives a run of the tests a temporary folder of its own, also for the processes they start, and removes it in the end,
 * so that nothing stays behind of a test or browser that was ended.
 */
export default function setup(): void {
  // Vitest calls this once for each project.
  if (basename(tmpdir()).startsWith(prefix)) return;
  const folder = mkdtempSync(join(tmpdir(), prefix));
  for (const name of ["TMPDIR", "TMP", "TEMP"]) process.env[name] = folder;
  // A teardown would be called while the workers still run.
  process.once("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
}
