import { type Command, Option } from "commander";
import { UsageError } from "../../src/base/errors.ts";
import { type Kind, listOf, number, wholeNumber } from "../../src/base/kinds.ts";
import { devices } from "../../src/base/platform.ts";

/** The texts of a command's help. */
export interface CommandHelp {
  /** One line, under 70 characters, for the list of commands. */
  readonly summary: string;
  readonly details: string;
  readonly examples: readonly [string, string];
}

/** Adds a command with its help and `--json`. */
export function addCommand(program: Command, usage: string, { summary, details, examples }: CommandHelp): Command {
  return program
    .command(usage)
    .summary(summary)
    .description(`${summary}.\n\n${details}`)
    .option("--json", "print the result as JSON")
    .addHelpText("after", `\nExamples:\n${examples.map((example) => `  $ ${example}`).join("\n")}`);
}

/** The flag that says what the engine computes on. */
export function deviceOption(): Option {
  return new Option(
    "--device <name>",
    "what to compute on (default: cpu); `xception doctor` lists what is available",
  ).choices(devices);
}

/**
 * A reader of an option's value for commander's `argParser`.
 * @throws {UsageError} from the reader: the value is none of the kind.
 */
export function valueReader<T>(flag: string, { read, accept, expected }: Kind<T>): (text: string) => T {
  return (text) => {
    const value = accept(read(text));
    if (value !== undefined) return value;
    throw new UsageError({ where: `option ${flag}`, what: "this value is not allowed", received: text, expected });
  };
}

/** A reader of a number above 0. */
export function positiveNumberOf(flag: string, limits: { readonly to?: number } = {}): (text: string) => number {
  return valueReader(flag, number({ above: 0, ...limits }));
}

/** A reader of a whole number from 1, or from `from`. */
export function countOf(flag: string, limits: { readonly from?: number; readonly to?: number } = {}) {
  return valueReader(flag, wholeNumber({ from: 1, ...limits }));
}

/** A reader of whole numbers from 1, separated by commas. */
export function countsOf(flag: string): (text: string) => readonly number[] {
  return valueReader(flag, listOf(wholeNumber({ from: 1 })));
}

/** Collects the flags that a command with all its options is called with, as they were typed. */
export function givenFlags(command: Command): readonly string[] {
  const words: string[] = [];
  for (const option of command.options) {
    command.on(`option:${option.name()}`, (value?: string) => {
      words.push(option.long!, ...(typeof value === "string" ? [value] : []));
    });
  }
  return words;
}
