import { SingleBar } from "cli-progress";
import { printableLine } from "../../src/base/printable.ts";
import type { SkippedFile } from "../../src/base/records.ts";
import type { CliIo } from "./io.ts";

/** Progress of some work, shown on stderr. */
export interface Progress {
  /** @param details shown after the numbers, e.g. `loss 0.51`. */
  update(done: number, details?: string): void;
  /** Ends the display, complete or not. */
  stop(): void;
}

interface ProgressOptions {
  /** Name of the work, e.g. `epoch 3`. */
  readonly label: string;
  readonly total: number;
}

/** Shows progress: on a terminal as a bar with the time left, otherwise as a line for each tenth of the work. */
export function startProgress(io: CliIo, options: ProgressOptions): Progress {
  return io.isTTY ? startBar(io, options) : startLines(io, options);
}

function startBar(io: CliIo, { label, total }: ProgressOptions): Progress {
  const bar = new SingleBar({
    format: `${label} {bar} {value}/{total}, {eta_formatted} left{details}`,
    barCompleteChar: "█",
    barIncompleteChar: "░",
    barsize: 30,
    hideCursor: true,
    // The bar moves the cursor by writing control codes.
    stream: { isTTY: true, columns: io.columns, write: io.terminal ?? io.stderr } as unknown as NodeJS.WritableStream,
  });
  bar.start(total, 0, { details: "" });
  return {
    update: (done, details) => bar.update(done, { details: details === undefined ? "" : `, ${details}` }),
    stop: () => bar.stop(),
  };
}

function startLines(io: CliIo, { label, total }: ProgressOptions): Progress {
  let tenths = 0;
  return {
    update: (done, details) => {
      const reached = Math.floor((10 * done) / total);
      if (reached <= tenths) return;
      tenths = reached;
      io.stderr(`${label}: ${done}/${total}${details === undefined ? "" : `, ${details}`}\n`);
    },
    stop: () => {},
  };
}

/** Number of skipped files that are listed; a report lists all. */
const named = 5;

/** Lists images that could not be used on stderr, with the reasons. */
export function reportSkipped(skipped: readonly SkippedFile[], io: CliIo): void {
  for (const { reason } of skipped.slice(0, named)) io.stderr(`skipped: ${printableLine(reason)}\n`);
  if (skipped.length > named) io.stderr(`skipped: ${skipped.length - named} more\n`);
}
