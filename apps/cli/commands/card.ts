import type { Command } from "commander";
import { writeFileAtomic } from "../../../src/runtime/node/files.ts";
import { cardJson, cardMarkdown } from "../../../src/tasks/card/card.ts";
import { openSubject } from "../../../src/tasks/card/subject.ts";
import { addClassifierOptions, type ClassifierFlags, classifierArguments } from "../classifier-options.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addHelp, givenFlags } from "../options.ts";
import { assertOverwrite } from "../output-file.ts";

interface CardFlags extends Omit<ClassifierFlags, "top"> {
  readonly output?: string;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

export default function registerCard(command: Command, io: CliIo): void {
  addHelp(command, {
    details:
      "Markdown with the metadata of Hugging Face at its top, made from what the file contains; what it does not " +
      "contain is said to be unknown. MODEL is a file in any supported format, a URL, or a name of xception weights. " +
      "train, demo and convert write such a card beside their model: model.onnx.md for model.onnx.",
    examples: ["xception card run/model.onnx", "xception card theirs.keras --preprocess scale01 -o README.md"],
  })
    .option("-o, --output <file>", "the file to write (default: standard output)")
    .option("--overwrite", "replace an existing file");
  // Those about the model, not about the card itself.
  const given = givenFlags(addClassifierOptions(command), ["--json", "--output", "--overwrite"]);
  command.action(async (model: string, flags: CardFlags) => {
    const { output, overwrite, json } = flags;
    if (output !== undefined) assertOverwrite("option --output", output, overwrite);
    const { platform, options } = await classifierArguments(command, flags, io);
    const subject = await openSubject(model, platform, options);
    const { preprocess, interpolation, fit } = options;
    const text = await cardMarkdown(subject, { flags: given, preprocess, interpolation, fit });
    if (output !== undefined) await writeFileAtomic(output, text);
    if (json) writeJson(io, { ...cardJson(subject), ...(output !== undefined && { written: output }) });
    else if (output === undefined) io.stdout(text);
    else io.stderr(`Wrote ${output}\n`);
  });
}
