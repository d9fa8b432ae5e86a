import { UsageError } from "../../src/base/errors.ts";

/** The world as a command sees it: passed in, so that commands run in tests without a process. */
export interface CliIo {
  /** Reads all of the standard input: `classify -` takes an image from it. */
  readonly stdin: () => Promise<Uint8Array>;
  /** Results: text for people, or one JSON document with `--json`. */
  readonly stdout: (text: string) => void;
  /** Progress, warnings and errors. */
  readonly stderr: (text: string) => void;
  /** Whether a person looks at stderr: draw a progress bar instead of plain lines. */
  readonly isTTY: boolean;
  /** Width of the terminal that stdout goes to, in characters; undefined for a file or pipe. */
  readonly columns?: number | undefined;
  /** Fires when the user presses Ctrl-C: finish the step, save, return. */
  readonly signal: AbortSignal;
}

export function writeJson(io: CliIo, value: unknown): void {
  io.stdout(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** 0: done. 1: it failed. 2: wrong usage. */
export type ExitCode = 0 | 1 | 2;

export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof UsageError ? 2 : 1;
}

/** An error in one line, with its stack below it only where that is asked for. */
export function describeFailure(error: unknown, withStack: boolean): string {
  if (!(error instanceof Error)) return String(error);
  const message = error.message.replaceAll(/\s*\n\s*/g, " ");
  return withStack && error.stack ? `${message}\n${error.stack}` : message;
}
