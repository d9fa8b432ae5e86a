import { CommanderError } from "commander";
import { describeFailure, type ExitCode, exitCodeOf } from "./failure.ts";
import type { CliIo } from "./io.ts";
import { createProgram } from "./program.ts";

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
    io.stderr(`error: ${describeFailure(error, debug)}\n`);
    return exitCodeOf(error);
  }
}
