/**
 * Tries many damaged files with every reader, each in a process of its own, which is ended when a case takes too long.
 * `npm run fuzz -- [--cases 20000] [--reader NAME] [--case INDEX]`
 */

import { fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { UsageError } from "../../src/base/errors.ts";
import { type FuzzChoice, fuzzChoiceOf } from "./fuzz-choice.ts";
import type { CaseReport } from "./fuzz-process.ts";
import type { FuzzedReader } from "./reader.ts";

/** Far more than any case takes; a library in a thread is then ended (`platform.isolate`), everything else has failed. */
const longestSeconds = 10;
/** A library that a case has damaged is loaded again, and the one before stays in memory as long as the process. */
const casesOfProcess = 1000;
/** Most memory of a process, with Node and the program; a process that needs more is ended. */
const mostMib = 1024;

interface Tally {
  readonly counts: Record<CaseReport["outcome"] | "stopped", number>;
  readonly failures: string[];
  peakMib: number;
  /** The case after which the memory was largest. */
  peakCase: number;
}

try {
  process.exitCode = (await fuzzAll(fuzzChoiceOf(process.argv.slice(2)))) ? 0 : 1;
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = 2;
}

/** Prints a line for each reader; false if one has failed. */
async function fuzzAll({ chosen, first, last }: FuzzChoice): Promise<boolean> {
  let passed = true;
  console.log("reader                     cases     read  refused  stopped   failed  seconds  ms each  peak MiB");
  for (const reader of chosen) {
    const start = performance.now();
    const { counts, failures, peakMib, peakCase } = await fuzz(reader, first, last);
    const seconds = (performance.now() - start) / 1000;
    const numbers = [last - first, counts.read, counts.refused, counts.stopped, counts.failed].map((each) => `${each}`);
    const measured = [seconds.toFixed(1), ((1000 * seconds) / (last - first)).toFixed(1), peakMib.toFixed(0)];
    console.log(reader.name.padEnd(23) + [...numbers, ...measured].map((each) => each.padStart(9)).join(""));
    for (const failure of failures) console.log(failure);
    if (peakMib > mostMib)
      console.log(`  --reader "${reader.name}" --case ${peakCase}: it takes more than ${mostMib} MiB`);
    passed &&= counts.failed === 0 && peakMib <= mostMib;
  }
  return passed;
}

async function fuzz(reader: FuzzedReader, first: number, last: number): Promise<Tally> {
  const tally: Tally = {
    counts: { read: 0, refused: 0, stopped: 0, failed: 0 },
    failures: [],
    peakMib: 0,
    peakCase: 0,
  };
  for (let next = first; next < last; ) {
    next = await fuzzFrom(reader, next, Math.min(next + casesOfProcess, last), tally);
  }
  return tally;
}

/** Resident memory of a process, where the system tells it cheaply. */
function memoryMib(pid: number): number {
  try {
    return (4096 * Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1])) / 2 ** 20;
  } catch {
    return 0;
  }
}

/** Tries cases in one process until it ends; returns the number of the first case that was not tried. */
function fuzzFrom(reader: FuzzedReader, first: number, last: number, tally: Tally): Promise<number> {
  const program = fileURLToPath(new URL("./fuzz-process.ts", import.meta.url));
  const child = fork(program, [reader.name, String(first), String(last)], {
    execArgv: [`--max-old-space-size=${mostMib}`, "--import", "tsx"],
  });
  let index = first;
  let stopped: string | undefined;
  const end = (reason: string) => {
    stopped ??= reason;
    child.kill("SIGKILL");
  };
  const stop = () => end(`it took more than ${longestSeconds} s`);
  const watch = setInterval(() => {
    if (memoryMib(child.pid!) > mostMib) end(`it took more than ${mostMib} MiB`);
  }, 50);
  let watchdog = setTimeout(stop, 3 * longestSeconds * 1000);
  child.on("message", (message) => {
    clearTimeout(watchdog);
    watchdog = setTimeout(stop, longestSeconds * 1000);
    const report = message as CaseReport;
    index = report.index + 1;
    if (report.peakMib > tally.peakMib) {
      tally.peakMib = report.peakMib;
      tally.peakCase = report.index;
    }
    tally.counts[report.outcome]++;
    if (report.outcome === "failed") note(reader, report.index, report.reason ?? "", tally);
  });
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => {
      clearTimeout(watchdog);
      clearInterval(watch);
      // Somebody else ended it.
      if (index === last || signal === "SIGTERM") return resolve(index);
      if (stopped !== undefined && reader.isIsolated) tally.counts.stopped++;
      else {
        tally.counts.failed++;
        note(reader, index, stopped ?? `exit ${code ?? signal}`, tally);
      }
      resolve(index + 1);
    });
  });
}

/** The first few say enough. */
function note({ name }: FuzzedReader, index: number, reason: string, { failures }: Tally): void {
  if (failures.length < 5) failures.push(`  --reader "${name}" --case ${index}: ${reason}`);
}
