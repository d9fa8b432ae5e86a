import { UsageError } from "../../src/errors.ts";

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
