import type { Command } from "commander";

/** A command with what all have: `--json`, and an example in its help. */
export function addCommand(
  program: Command,
  usage: string,
  about: { readonly description: string; readonly example: string },
): Command {
  return program
    .command(usage)
    .description(about.description)
    .option("--json", "print the result as JSON")
    .addHelpText("after", `\nExample:\n  $ ${about.example}`);
}
