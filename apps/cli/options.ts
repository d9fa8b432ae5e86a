import { type Command, Option } from "commander";
import { UsageError } from "../../src/base/errors.ts";
import { type Kind, listOf, number, wholeNumber } from "../../src/base/kinds.ts";
import { devices } from "../../src/base/platform.ts";

/** Adds details and examples to a command's one line of help. */
export function addHelp(
  command: Command,
  { details, examples }: { readonly details: string; readonly examples: readonly [string, string] },
): Command {
  return command
    .description(`${command.description()}\n\n${details}`)
    .addHelpText("after", `\nExamples:\n${examples.map((example) => `  $ ${example}`).join("\n")}`);
}

/** The flag for the engine's device. */
export function deviceOption(): Option {
  const about = "device to compute on (default: cpu); `xception doctor` lists those available";
  return new Option("--device <name>", about).choices(devices);
}

/**
 * Returns a parser of an option's value, for commander's `argParser`.
 * @throws {UsageError} from the parser: the value is not of this kind.
 */
export function valueReader<T>(flag: string, { read, accept, expected }: Kind<T>): (text: string) => T {
  return (text) => {
    const value = accept(read(text));
    if (value !== undefined) return value;
    throw new UsageError({ where: `option ${flag}`, what: "this value is not allowed", received: text, expected });
  };
}

/** Returns a parser of a number above 0. */
export function positiveNumberOf(flag: string): (text: string) => number {
  return valueReader(flag, number({ above: 0 }));
}

/** Returns a parser of a whole number from 1, or from `from`. */
export function countOf(flag: string, limits: { readonly from?: number; readonly to?: number } = {}) {
  return valueReader(flag, wholeNumber({ from: 1, ...limits }));
}

/** Returns a parser of whole numbers from 1, separated by commas. */
export function countsOf(flag: string): (text: string) => readonly number[] {
  return valueReader(flag, listOf(wholeNumber({ from: 1 })));
}

/** Collects the flags that a command is called with, as they were typed; all options must have been added. */
export function givenFlags(command: Command, except: readonly string[] = []): readonly string[] {
  const words: string[] = [];
  for (const option of command.options) {
    if (except.includes(option.long!)) continue;
    command.on(`option:${option.name()}`, (value?: string) => {
      words.push(option.long!, ...(typeof value === "string" ? [value] : []));
    });
  }
  return words;
}
