import { basename } from "node:path";
import { type Command, Option } from "commander";
import { UsageError } from "../../../src/base/errors.ts";
import { printableLine } from "../../../src/base/printable.ts";
import { shardNames } from "../../../src/formats/tfjs/manifest.ts";
import { type StoredType, storedTypeSuffixes, storedTypes } from "../../../src/graph/weights.ts";
import { type TargetName, targetOf, weightsTargets } from "../../../src/model/formats.ts";
import type { PreprocessingOptions } from "../../../src/model/preprocessing.ts";
import { weightsSource } from "../../../src/model/weights-file.ts";
import { counted } from "../../../src/report/numbers.ts";
import { writeFilesAtomic } from "../../../src/runtime/node/files.ts";
import { nodePlatform } from "../../../src/runtime/node/platform.ts";
import { cardMarkdown } from "../../../src/tasks/card/card.ts";
import { keptCard, writeCard } from "../../../src/tasks/card/card-file.ts";
import { writtenSubject } from "../../../src/tasks/card/subject.ts";
import { type Conversion, convert } from "../../../src/tasks/convert.ts";
import { formatShape } from "../../../src/tensor/shape.ts";
import { addDownloadOptions, type DownloadFlags, platformFor } from "../downloads.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addLabelsOption, labelsOf } from "../labels.ts";
import { addNetworkOptions, givenNetworkOptions, type NetworkFlags } from "../network-options.ts";
import { addHelp } from "../options.ts";
import { assertOverwrite, fileAt } from "../output-file.ts";
import { addPreprocessingOptions, preprocessingOptions } from "../preprocessing-options.ts";

interface ConvertFlags extends NetworkFlags, DownloadFlags, PreprocessingOptions {
  readonly to?: TargetName;
  readonly labels?: string;
  readonly allowMissing?: string;
  readonly dtype: StoredType;
  readonly strict?: boolean;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

const targetNames = Object.keys(weightsTargets) as TargetName[];
const chosenByExtension = targetNames.filter((name) => targetOf(weightsTargets[name].extension) === name);

export default function registerConvert(command: Command, io: CliIo): void {
  addHelp(command, {
    details:
      `The extension of OUT chooses the format: ${chosenByExtension.map(titled).join(", ")}; ` +
      "in a folder, OUT is model.onnx, model_fp16.onnx or model_int8_weights.onnx. IN is a file, a URL, or a name of xception " +
      "weights. Network flags load the weights into that network; without them the file's own network is kept.",
    examples: [
      "xception convert weights.h5 model.onnx --classes 10 --labels labels.txt",
      "xception convert run/model.onnx model.keras",
    ],
  })
    .addOption(new Option("--to <kind>", "output format, whatever the extension of OUT").choices(targetNames))
    .option("--allow-missing <glob>", "weights that may be missing or differ, e.g. 'predictions/*'")
    .addOption(
      new Option("--dtype <type>", "data type of kernels in ONNX: float16 halves the file, int8 quarters it")
        .choices(storedTypes)
        .default("float32"),
    )
    .option("--strict", "reject NaN and infinite weights")
    .option("--overwrite", "replace an existing OUT");
  addNetworkOptions(addPreprocessingOptions(addDownloadOptions(addLabelsOption(command)))).action(
    async (source: string, out: string, flags: ConvertFlags) => {
      const { extension } = weightsTargets[flags.to ?? "onnx"];
      const target = await fileAt(out, `model${storedTypeSuffixes[flags.dtype]}${extension}`);
      const to = flags.to ?? targetFor(target);
      assertOverwrite("argument OUT", target, flags.overwrite);
      const { labels: labelFile, architecture, dtype, strict } = flags;
      const network = givenNetworkOptions(command, flags);
      const { includeTop = true, classes = 1000 } = network;
      const hasOwnTop = includeTop && classes === 1000;
      // A classifier of other classes is reinitialized, as in training.
      const { allowMissing = source === "imagenet" && includeTop && !hasOwnTop ? "predictions/*" : undefined } = flags;
      const opened = await weightsSource(source, platformFor(flags, io), { ...flags, includeTop: hasOwnTop });
      const labels = await labelsOf(labelFile);
      const conversion = await convert(opened, {
        ...{ to, network, architecture, labels, allowMissing, dtype, strict },
        ...preprocessingOptions(flags),
      });
      const { bytes, beside, model: _, ...rest } = conversion;
      await writeFilesAtomic(target, bytes, beside, shardNames);
      const subject = await writtenSubject(basename(target), conversion);
      const card = await writeCard(target, await cardMarkdown(subject), nodePlatform.files);
      if (card === undefined) io.stderr(`${keptCard(target)}\n`);
      const written = { file: target, bytes: bytes.length, beside: [...beside.keys()], card: card ?? null };
      if (flags.json) writeJson(io, { ...written, ...rest });
      else io.stdout(describe(conversion, source, target));
    },
  );
}

/** The format of a file to write, by its extension. @throws {UsageError} it is of no format. */
export function targetFor(path: string, where = "argument OUT", remedy = "Or choose a format with --to."): TargetName {
  const target = targetOf(path);
  if (target !== undefined) return target;
  throw new UsageError({
    where,
    what: "the extension does not identify a format",
    received: path,
    expected: chosenByExtension.map((name) => weightsTargets[name].extension).join(", "),
    remedy,
  });
}

function titled(name: TargetName): string {
  return `${weightsTargets[name].extension} (${weightsTargets[name].title})`;
}

function describe(conversion: Conversion, source: string, target: string): string {
  const { bytes, beside, from, to, network, weights, notes } = conversion;
  const lists = (["missing", "unexpected", "wrongShape"] as const).flatMap((kind) =>
    weights[kind].length > 0 ? [`${kind}: ${weights[kind].join(", ")}`] : [],
  );
  const shards = beside.size === 0 ? "" : ` and ${beside.size} more beside it`;
  const lines = [
    `${source} (${from}) → ${target} (${to}, ${bytes.length} bytes${shards})`,
    `network   ${network.name}, ${counted(network.layers, "layer")}, images ${formatShape(network.inputShape)}`,
    `weights   ${counted(weights.taken, "tensor")}, matched by ${weights.by}`,
    ...lists,
    ...notes.map((note) => `note: ${note}`),
  ];
  return `${lines.map(printableLine).join("\n")}\n`;
}
