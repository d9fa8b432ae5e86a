import { CommanderError } from "commander";
import { UsageError } from "../../src/errors.ts";
import type { CliIo } from "./io.ts";
import { createProgram } from "./program.ts";

/** 0: done. 1: it failed. 2: wrong usage. */
export type ExitCode = 0 | 1 | 2;

/**
 * Runs one command line, e.g. `["summary", "--json"]`. An error becomes one line on stderr, with its stack only under
 * `--debug`.
 */
export async function run(argv: readonly string[], io: CliIo): Promise<ExitCode> {
  const program = createProgram(io);
  try {
    await program.parseAsync(argv, { from: "user" });
    return 0;
  } catch (error) {
    // Commander has already written its own errors, and help and version are not errors at all.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { debug = false } = program.opts<{ debug?: boolean }>();
    io.stderr(`error: ${describe(error, debug)}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

function describe(error: unknown, debug: boolean): string {
  if (!(error instanceof Error)) return String(error);
  const message = error.message.replaceAll(/\s*\n\s*/g, " ");
  return debug && error.stack ? `${message}\n${error.stack}` : message;
}
