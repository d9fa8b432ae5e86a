import type { Command } from "commander";
import { imagenetLabels } from "../../src/models/imagenet-classes.ts";
import { readFile } from "../../src/runtime/node-files.ts";

/** Gives a command that reads models the flag for what a file may not say: how its classes are called. */
export function addLabelsOption(command: Command): Command {
  return command.option(
    "--labels <file>",
    "names of the classes, one a line; imagenet: those of ImageNet's 1000 classes",
  );
}

/** Reads the class names of `--labels`; undefined without the flag. */
export async function labelsOf(file: string | undefined): Promise<readonly string[] | undefined> {
  if (file === undefined || file === "imagenet") return file && imagenetLabels();
  return new TextDecoder()
    .decode(await readFile(file))
    .split(/\r?\n/)
    .filter((line) => line !== "");
}
