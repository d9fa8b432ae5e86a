import type { Command } from "commander";
import { DataError } from "../../../src/base/errors.ts";
import { printableLine } from "../../../src/base/printable.ts";
import { type Classified, loadClassifier } from "../../../src/tasks/evaluate/classifier.ts";
import { addClassifierOptions, type ClassifierFlags, classifierArguments, reportNotes } from "../classifier-options.ts";
import { imagesOf } from "../image-arguments.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addHelp, countOf } from "../options.ts";

interface ClassifyFlags extends Omit<ClassifierFlags, "top"> {
  readonly top: number;
  readonly json?: boolean;
}

export default function registerClassify(command: Command, io: CliIo): void {
  addHelp(command, {
    details:
      "Takes files, folders, URLs, or - for standard input. MODEL is a file in any supported format, a URL, or " +
      "a name of xception weights. Unreadable images do not stop the others; the exit code is then 1.",
    examples: ["xception classify run/model.onnx cat.jpg photos/ --top 3", "xception classify imagenet cat.jpg --json"],
  }).option("--top <n>", "number of classes to print", countOf("--top"), 5);
  addClassifierOptions(command).action(async (model: string, paths: readonly string[], flags: ClassifyFlags) => {
    const { top, device, json } = flags;
    const { platform, options } = await classifierArguments(command, flags, io);
    const images = await imagesOf(paths, io, platform.files);
    const session = { device, once: images.length === 1, signal: io.signal };
    const classifier = await loadClassifier(model, { ...options, platform, session });
    reportNotes(classifier.notes, io);
    const results: (Classified & { readonly file: string })[] = [];
    try {
      const sources = images.map(({ image }) => image);
      for await (const result of classifier.classifyAll(sources, { top, signal: io.signal })) {
        const { file } = images[results.length]!;
        results.push({ file, ...result });
        if (!json) io.stdout(describe(file, result));
      }
    } finally {
      await classifier.dispose();
    }
    if (json) writeJson(io, results.map(toJson));
    const failed = results.filter((result) => "error" in result).length;
    if (failed > 0) {
      throw new DataError({ where: "classify", what: `${failed} of ${results.length} images could not be read` });
    }
  });
}

function describe(file: string, result: Classified): string {
  const name = printableLine(file);
  if ("error" in result) return `${name}\n  not classified: ${printableLine(result.error.message)}\n`;
  const lines = result.predictions.map(
    ({ label, probability }) => `${(100 * probability).toFixed(1).padStart(7)} %  ${printableLine(label)}\n`,
  );
  return `${name}\n${lines.join("")}`;
}

function toJson(result: Classified & { readonly file: string }) {
  if ("error" in result) return { file: result.file, predictions: [], error: result.error.message };
  return { file: result.file, predictions: result.predictions };
}
