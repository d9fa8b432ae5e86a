import type { SkippedFile } from "../../src/records.ts";
import type { CliIo } from "./io.ts";

/** Number of files that are named; a report names all. */
const named = 5;

/** Says on stderr which images could not be used, and why. */
export function reportSkipped(skipped: readonly SkippedFile[], io: CliIo): void {
  for (const { reason } of skipped.slice(0, named)) io.stderr(`skipped: ${reason}\n`);
  if (skipped.length > named) io.stderr(`skipped: ${skipped.length - named} more\n`);
}
