import { Command, CommanderError } from "commander";
import { registerCard } from "./commands/card.ts";
import { registerClassify } from "./commands/classify.ts";
import { registerCompare } from "./commands/compare.ts";
import { registerConvert } from "./commands/convert.ts";
import { registerCost } from "./commands/cost.ts";
import { registerData } from "./commands/data.ts";
import { registerDemo } from "./commands/demo.ts";
import { registerDoctor } from "./commands/doctor.ts";
import { registerEmbed } from "./commands/embed.ts";
import { registerEvaluate } from "./commands/evaluate.ts";
import { registerExplain } from "./commands/explain.ts";
import { registerExportRepository } from "./commands/export-repository.ts";
import { registerPlot } from "./commands/plot.ts";
import { registerQuantize } from "./commands/quantize.ts";
import { registerReport } from "./commands/report.ts";
import { registerSearch } from "./commands/search.ts";
import { registerServe } from "./commands/serve.ts";
import { registerSummary } from "./commands/summary.ts";
import { registerTrain } from "./commands/train.ts";
import { registerVerify } from "./commands/verify.ts";
import { registerWeights } from "./commands/weights.ts";
import { type CliIo, describeFailure, type ExitCode, exitCodeOf, printableIo } from "./io.ts";
import { packageVersion } from "./package-version.ts";

/** All commands, in the order of the help. A new one is a file in `commands/` and a line here. */
const commands = [
  registerSummary,
  registerPlot,
  registerCost,
  registerDemo,
  registerData,
  registerTrain,
  registerCompare,
  registerClassify,
  registerEvaluate,
  registerExplain,
  registerReport,
  registerCard,
  registerEmbed,
  registerSearch,
  registerServe,
  registerExportRepository,
  registerConvert,
  registerQuantize,
  registerVerify,
  registerWeights,
  registerDoctor,
];

/** Builds the command line, bound to `io`; it throws instead of ending the process. */
export function createProgram(io: CliIo): Command {
  const program = new Command("xception")
    .description("The Xception network for TypeScript: inspect it, train it, run it.")
    .version(packageVersion)
    .option("--debug", "show the stack of an error")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: io.stdout,
      writeErr: io.stderr,
      getOutHelpWidth: () => io.columns ?? 100,
      outputError: (message, write) => write(`${message.trim().replaceAll("\n", " ")}\n`),
    })
    .exitOverride();
  for (const register of commands) register(program, io);
  return program;
}

/** Runs one command line, e.g. `["summary", "--json"]`. Errors become one line on stderr, with a stack only under `--debug`. */
export async function run(argv: readonly string[], rawIo: CliIo): Promise<ExitCode> {
  const io = printableIo(rawIo);
  const program = createProgram(io);
  try {
    await program.parseAsync(argv, { from: "user" });
    return 0;
  } catch (error) {
    // Commander has already written its own errors; help and version are not errors.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { debug = false } = program.opts<{ debug?: boolean }>();
    io.stderr(`error: ${describeFailure(error, debug)}\n`);
    return exitCodeOf(error);
  }
}
