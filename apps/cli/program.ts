import { Command, CommanderError } from "commander";
import { type CliIo, describeFailure, type ExitCode, exitCodeOf, printableIo } from "./io.ts";
import { packageVersion } from "./machine.ts";

/** Adds a command's flags, help and action. */
type Register = (command: Command, io: CliIo) => void;

/**
 * All commands, in the order of the help: usage, one line of help under 70 characters, and the code, loaded when it is needed.
 * A new one is a file in `commands/` and an entry here.
 */
const commands: readonly (readonly [usage: string, summary: string, load: () => Promise<{ default: Register }>])[] = [
  ["summary [model]", "List layers, shapes, parameters and connections", () => import("./commands/summary.ts")],
  ["plot [model]", "Draw the layer graph as SVG, PNG or DOT", () => import("./commands/plot.ts")],
  [
    "cost [models...]",
    "Count multiplications and weights, separable against ordinary",
    () => import("./commands/cost.ts"),
  ],
  ["demo", "Train a small Xception on emoji and write an illustrated report", () => import("./commands/demo.ts")],
  ["data <folder>", "Find copies, wrong labels and odd images in a data set", () => import("./commands/data.ts")],
  ["train [folder]", "Train a network on a folder of labeled images", () => import("./commands/train.ts")],
  [
    "compare [networks...]",
    "Train networks under equal conditions and compare them",
    () => import("./commands/compare.ts"),
  ],
  ["classify <model> <images...>", "Predict the top classes of images", () => import("./commands/classify.ts")],
  [
    "evaluate <model> <folder>",
    "Evaluate a model on a folder of labeled images",
    () => import("./commands/evaluate.ts"),
  ],
  [
    "explain <model> <images...>",
    "Show where a network finds evidence of a class",
    () => import("./commands/explain.ts"),
  ],
  ["report <run>", "Rebuild the HTML report of a training run", () => import("./commands/report.ts")],
  ["card <model>", "Write a model card: data, recipe, metrics, license, use", () => import("./commands/card.ts")],
  [
    "embed <model> <images...>",
    "Write embeddings of images, for search or clustering",
    () => import("./commands/embed.ts"),
  ],
  ["search <image> <embeddings>", "Find the images most similar to one", () => import("./commands/search.ts")],
  ["serve <model>", "Serve models over HTTP, as Triton and KServe do", () => import("./commands/serve.ts")],
  [
    "export-repository <model> <folder>",
    "Write a model repository for Triton or KServe",
    () => import("./commands/export-repository.ts"),
  ],
  ["convert <in> <out>", "Convert a model or weights to another format", () => import("./commands/convert.ts")],
  ["quantize <model>", "Make a model smaller and faster: int8 weights", () => import("./commands/quantize.ts")],
  ["verify [model]", "Compare a model with a reference, block by block", () => import("./commands/verify.ts")],
  ["weights", "List published weights: license, size and cached files", () => import("./commands/weights.ts")],
  ["doctor", "Check this machine: versions, CPU, memory, native libraries", () => import("./commands/doctor.ts")],
];

/**
 * Builds the command line, bound to `io`; it throws instead of ending the process.
 * @param words of the command line: a command that is not among them gets no flags, and its code is not loaded.
 */
export async function createProgram(words: readonly string[], io: CliIo): Promise<Command> {
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
  for (const [usage, summary, load] of commands) {
    const command = program
      .command(usage)
      .summary(summary)
      .description(`${summary}.`)
      .option("--json", "print the result as JSON");
    if (words.includes(command.name())) (await load()).default(command, io);
  }
  return program;
}

/** Runs one command line, e.g. `["summary", "--json"]`. Errors become one line on stderr, with a stack only under `--debug`. */
export async function run(argv: readonly string[], rawIo: CliIo): Promise<ExitCode> {
  const io = printableIo(rawIo);
  const program = await createProgram(argv, io);
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
