import type { Command } from "commander";

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
