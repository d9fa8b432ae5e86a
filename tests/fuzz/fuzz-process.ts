/** Tries the cases of one reader, from one number to another, and tells its parent of each; started by `fuzz.ts`. */

import { readFileSync } from "node:fs";
import { limitWasmMemory } from "../../src/runtime/node/isolation.ts";
import { outcomeOf } from "./reader.ts";
import { caseOf, readers } from "./readers.ts";

/** What a process tells of a case. */
export interface CaseReport {
  readonly index: number;
  readonly outcome: "read" | "refused" | "failed";
  /** Why it failed. */
  readonly reason?: string;
  /** Largest memory of the process so far, in MiB. */
  readonly peakMib: number;
}

/** As in `kerasFileLimits`, for files as small as these. */
const wasmBytes = 66 * 2 ** 20;

const [name, first, last] = process.argv.slice(2);
const reader = readers.find((each) => each.name === name)!;
limitWasmMemory(wasmBytes);
const cases = await reader.cases();
for (let index = Number(first); index < Number(last); index++) {
  const content = caseOf(cases, index);
  tell({ index, ...(await outcome(content)), peakMib: peakMib() });
}
process.disconnect?.();

async function outcome(content: unknown): Promise<Pick<CaseReport, "outcome" | "reason">> {
  try {
    return { outcome: await outcomeOf(reader, content) };
  } catch (error) {
    return { outcome: "failed", reason: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

function tell(report: CaseReport): void {
  process.send?.(report);
}

/** Linux counts the parent's memory in `resourceUsage().maxRSS` of a child. */
function peakMib(): number {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS / 1024;
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024;
}
