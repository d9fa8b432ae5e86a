import { basename, dirname, join } from "node:path";
import { type Command, Option } from "commander";
import { UsageError, VerificationError } from "../../../src/base/errors.ts";
import { number } from "../../../src/base/kinds.ts";
import { isAddress } from "../../../src/base/source.ts";
import { type LimitMethod, limitMethods } from "../../../src/compiler/quantize/limits.ts";
import { loadModel } from "../../../src/model/load-model.ts";
import { section } from "../../../src/report/document.ts";
import { toHtml } from "../../../src/report/html.ts";
import {
  isSaturated,
  type QuantizationRecord,
  quantizationReport,
  saturationNote,
} from "../../../src/report/quantization.ts";
import { toText } from "../../../src/report/text.ts";
import { assertWritable, writeFileAtomic } from "../../../src/runtime/node/files.ts";
import { nodePlatform } from "../../../src/runtime/node/platform.ts";
import { modelFileCard } from "../../../src/tasks/card/card.ts";
import { keptCard, writeCard } from "../../../src/tasks/card/card-file.ts";
import type { QuantizationImage } from "../../../src/tasks/quantize/calibration.ts";
import { lostAccuracy } from "../../../src/tasks/quantize/gate.ts";
import { type QuantizeStep, quantize } from "../../../src/tasks/quantize/quantize.ts";
import { addClassifierOptions, type ClassifierFlags, classifierArguments, reportNotes } from "../classifier-options.ts";
import { imagesIn } from "../image-arguments.ts";
import { type CliIo, writeJson } from "../io.ts";
import { machineFacts } from "../machine.ts";
import { addHelp, countOf, valueReader } from "../options.ts";
import { assertOverwrite, fileAt } from "../output-file.ts";
import { type Progress, reportSkipped, startProgress } from "../progress.ts";

interface QuantizeFlags extends Omit<ClassifierFlags, "device"> {
  readonly calibrate: string;
  readonly test?: string;
  readonly output?: string;
  readonly images?: number;
  readonly method?: LimitMethod;
  readonly seed?: number;
  readonly reduceRange?: boolean;
  readonly perTensor?: boolean;
  readonly maxDrop?: number;
  readonly minAgreement?: number;
  readonly allowSlower?: boolean;
  readonly report?: string;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

export default function registerQuantize(command: Command, io: CliIo): void {
  addHelp(command, {
    details:
      "Writes an .onnx file with int8 weights and activations, a quarter of the size. It is written only if it predicts as the " +
      "float32 model does, and is faster here; blocks that cost too much accuracy stay float32. Images of a subfolder with the " +
      "name of a class count for accuracy, all others for agreement alone.",
    examples: [
      "xception quantize run/model.onnx --calibrate photos/train --test photos/test",
      "xception quantize run/model.onnx --calibrate photos/train -o small.onnx --reduce-range --report small.html",
    ],
  })
    .requiredOption("--calibrate <folder>", "images like those that the model will see, e.g. its training images")
    .option("--test <folder>", "images to compare with float32 on (default: those not used for calibration)")
    .option("-o, --output <path>", "file or folder to write to (default: model_int8.onnx beside MODEL)")
    .option("--images <n>", "images to calibrate with (default: 100)", countOf("--images"))
    .addOption(new Option("--method <name>", "choice of the activations' limits (default: mse)").choices(limitMethods))
    .option("--seed <n>", "seed of the choice of images (default: 0)", countOf("--seed", { from: 0 }))
    .option("--reduce-range", "weights of 7 bits, for x86 CPUs without VNNI")
    .option("--per-tensor", "one scale for each kernel, not for each filter: for hardware that has no others")
    .option(
      "--max-drop <points>",
      "largest loss of accuracy, in points (default: 1)",
      valueReader("--max-drop", number({ from: 0, to: 100 })),
    )
    .option(
      "--min-agreement <percent>",
      "least share of images with the same class as in float32 (default: 98)",
      valueReader("--min-agreement", number({ from: 0, to: 100 })),
    )
    .option("--allow-slower", "write the file although it is not faster on this machine")
    .option("--report <file>", "write an HTML report, whether the model passes or not")
    .option("--overwrite", "replace an existing file");
  addClassifierOptions(command, { withDevice: false }).action(async (modelFile: string, flags: QuantizeFlags) => {
    const { calibrate, test, report, images: count, minAgreement, json } = flags;
    const { method, seed, reduceRange, perTensor, maxDrop, allowSlower } = flags;
    const output = await outputOf(modelFile, flags.output);
    assertOverwrite("option --output", output, flags.overwrite);
    for (const file of [output, ...(report === undefined ? [] : [report])]) await assertWritable(file);
    const { platform, options } = await classifierArguments(command, flags, io);
    const { notes, ...model } = await loadModel(modelFile, platform, options);
    reportNotes(notes, io);
    const labeledImages = async (folder: string): Promise<readonly QuantizationImage[]> => {
      const found = await imagesIn(folder, io, platform.files);
      return found.map(({ file, image, inside = file }) => {
        const label = model.labels.indexOf(inside.slice(0, Math.max(inside.indexOf("/"), 0)));
        return { name: file, image, label: label < 0 ? undefined : label };
      });
    };
    const display = stepDisplay(io);
    const result = await quantize(model, await labeledImages(calibrate), {
      ...{ platform, count, method, seed, reduceRange, perTensor, maxDrop, allowSlower, signal: io.signal },
      ...(minAgreement !== undefined && { minAgreement: minAgreement / 100 }),
      ...(test !== undefined && { test: await labeledImages(test) }),
      onProgress: display.update,
    }).finally(display.stop);
    const { bytes, record, failures, skipped } = result;
    reportSkipped(skipped, io);
    if (isSaturated(record)) io.stderr(`warning: ${saturationNote}\n`);
    const document = quantizationReport(record, failures, `${basename(modelFile)} in int8`);
    if (report !== undefined) {
      const machine = section("machine", "Machine", { type: "facts", facts: await machineFacts() });
      await writeFileAtomic(report, await toHtml({ ...document, sections: [...document.sections, machine] }));
    }
    const passed = failures.length === 0;
    if (passed) {
      await writeFileAtomic(output, bytes);
      const card = await writeCard(
        output,
        await modelFileCard(basename(output), bytes, result.model),
        nodePlatform.files,
      );
      if (card === undefined) io.stderr(`${keptCard(output)}\n`);
    }
    if (json) writeJson(io, { file: passed ? output : null, passed, failures, ...record, skipped });
    else io.stdout(`${toText(document, { width: io.columns ?? 100 })}\n`);
    if (!passed) {
      throw new VerificationError({
        where: "quantize",
        what: `${failures.join(" ")} No file was written`,
        remedy: remedyFor(record),
      });
    }
    if (!json) io.stderr(`Wrote ${output}\n`);
  });
}

function remedyFor(record: QuantizationRecord): string {
  if (lostAccuracy(record.change, record.limits).length === 0)
    return "Use --allow-slower to write it for other machines.";
  if (isSaturated(record)) return "Use --reduce-range, since this CPU has no VNNI.";
  return (
    "Train it for int8 (xception train --quantization-aware), calibrate with more images (--images), or allow more with " +
    "--max-drop and --min-agreement."
  );
}

/** The file to write: `model_int8.onnx`, the name that transformers.js looks for, unless a file is named. */
async function outputOf(model: string, output: string | undefined): Promise<string> {
  const name = "model_int8.onnx";
  if (output === undefined) return join(isAddress(model) ? "." : dirname(model), name);
  const file = await fileAt(output, name);
  if (file.toLowerCase().endsWith(".onnx")) return file;
  throw new UsageError({
    where: "option --output",
    what: "int8 weights are stored in ONNX files only",
    received: output,
    expected: "a file that ends in .onnx, or a folder",
  });
}

/** A progress display for each step. */
function stepDisplay(io: CliIo) {
  let shown: { readonly step: QuantizeStep; readonly progress: Progress } | undefined;
  const stop = () => shown?.progress.stop();
  return {
    update: (step: QuantizeStep, done: number, total: number) => {
      if (shown?.step !== step || done === 0) {
        stop();
        shown = { step, progress: startProgress(io, { label: step, total }) };
      }
      shown.progress.update(done);
    },
    stop,
  };
}
