import { UsageError } from "../../src/base/errors.ts";
import { printable } from "../../src/base/printable.ts";

/** A command's standard streams and interruption; passed in, so that tests can run commands without a process. */
export interface CliIo {
  /** Reads all of standard input, e.g. the image of `classify -`. */
  readonly stdin: () => Promise<Uint8Array>;
  /** Writes results: text, or one JSON document with `--json`. */
  readonly stdout: (text: string) => void;
  /** Writes progress, warnings and errors. */
  readonly stderr: (text: string) => void;
  /** Writes to stderr's terminal unescaped: the control codes of a progress bar. Default `stderr`. */
  readonly terminal?: (text: string) => void;
  /** True if stderr is a terminal: progress is then a bar instead of lines. */
  readonly isTTY: boolean;
  /** Width of stdout's terminal in characters; undefined for a file or pipe. */
  readonly columns?: number | undefined;
  /** Fires on Ctrl-C or SIGTERM: finish the step, save, return. A command that never asks for it is ended by them at once. */
  readonly signal: AbortSignal;
  /** Runs work that heeds the signal, for commands that otherwise do not. Default: with `signal`. */
  readonly interruptible?: <T>(work: (signal: AbortSignal) => Promise<T>) => Promise<T>;
}

/** Escapes everything a command writes, see {@link printable}: names in it may come from untrusted files. */
export function printableIo(io: CliIo): CliIo {
  const { stdin, stdout, stderr, isTTY, columns, interruptible = (work) => work(io.signal) } = io;
  return {
    ...{ stdin, isTTY, columns, terminal: stderr, interruptible },
    stdout: (text) => stdout(printable(text)),
    stderr: (text) => stderr(printable(text)),
    // Only commands that can stop on their own watch for Ctrl-C: see main.ts.
    get signal() {
      return io.signal;
    },
  };
}

/** Writes a result as JSON. */
export function writeJson(io: CliIo, value: unknown): void {
  io.stdout(`${JSON.stringify(value, undefined, 2)}\n`);
}

/** 0: success. 1: failure. 2: wrong usage. */
export type ExitCode = 0 | 1 | 2;

/** The exit code for an error. */
export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof UsageError ? 2 : 1;
}

/** Describes an error in one line, followed by its stack if requested. */
export function describeFailure(error: unknown, withStack: boolean): string {
  if (!(error instanceof Error)) return String(error);
  const message = error.message.replaceAll(/\s*\n\s*/g, " ");
  return withStack && error.stack ? `${message}\n${error.stack}` : message;
}
