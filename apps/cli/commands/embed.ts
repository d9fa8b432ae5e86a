import { relative, sep } from "node:path";
import { type Command, Option } from "commander";
import type { Device } from "../../../src/base/platform.ts";
import { isAddress } from "../../../src/base/source.ts";
import type { PreprocessingOptions } from "../../../src/model/preprocessing.ts";
import { counted } from "../../../src/report/numbers.ts";
import { assertWritable, writeFileAtomic } from "../../../src/runtime/node/files.ts";
import { nodePlatform } from "../../../src/runtime/node/platform.ts";
import { embed, type ImageToEmbed } from "../../../src/tasks/features/embed.ts";
import { embeddingsWriter } from "../../../src/tasks/features/embeddings.ts";
import type { Pooling } from "../../../src/tasks/features/feature-extractor.ts";
import { reportNotes } from "../classifier-options.ts";
import { addDownloadOptions, addPixelLimit, type DownloadFlags, platformFor } from "../downloads.ts";
import { type ImageArgument, imagesOf } from "../image-arguments.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addNetworkOptions, givenNetworkOptions, type NetworkFlags } from "../network-options.ts";
import { addHelp, countOf, deviceOption } from "../options.ts";
import { assertOverwrite } from "../output-file.ts";
import { addPreprocessingOptions, preprocessingOptions } from "../preprocessing-options.ts";
import { type Progress, reportSkipped, startProgress } from "../progress.ts";
import { pathFrom } from "../recorded-path.ts";

interface EmbedFlags extends Omit<NetworkFlags, "pooling">, DownloadFlags, PreprocessingOptions {
  readonly output: string;
  readonly layer?: string;
  readonly pooling: Pooling;
  readonly allowMissing?: string;
  readonly batchSize: number;
  readonly device?: Device;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

export default function registerEmbed(command: Command, io: CliIo): void {
  addHelp(command, {
    details:
      "An embedding is the globally pooled last feature map, 2048 numbers for Xception; similar images " +
      "get vectors of similar direction (see xception search). MODEL is a file in any supported format, a " +
      "URL, or a name of xception weights. Network flags load the weights into that network; without " +
      "them the file's own network is kept. Unreadable images are skipped and reported.",
    examples: [
      "xception embed run/model.onnx photos/ -o embeddings.safetensors",
      "xception embed imagenet photos/ -o embeddings.csv --pooling max",
    ],
  })
    .requiredOption("-o, --output <file>", "output file: .safetensors, .csv or .json")
    .option("--layer <name>", "layer to take feature maps from (default: the last one that has any)")
    .addOption(new Option("--pooling <how>", "global pooling of each channel").choices(["avg", "max"]).default("avg"))
    .option("--allow-missing <glob>", "weights that may be missing or differ, e.g. 'predictions/*'")
    .option("--batch-size <n>", "images per batch", countOf("--batch-size"), 8)
    .option("--overwrite", "replace an existing output file")
    .addOption(deviceOption());
  addNetworkOptions(addPixelLimit(addPreprocessingOptions(addDownloadOptions(command))), ["pooling"]).action(
    async (model: string, paths: readonly string[], flags: EmbedFlags) => {
      const { output, pooling, allowMissing, batchSize, architecture, json } = flags;
      const write = embeddingsWriter(output);
      assertOverwrite("option --output", output, flags.overwrite);
      await assertWritable(output);
      const { folder, images } = rowsOf(paths, await imagesOf(paths, io, nodePlatform.files));
      const network = givenNetworkOptions(command, flags, ["pooling"]);
      let progress: Progress | undefined;
      const embedded = await embed(model, images, {
        ...{ network, architecture, allowMissing, key: flags.key, ...preprocessingOptions(flags) },
        ...{ layer: flags.layer, pooling, batchSize, signal: io.signal },
        platform: platformFor(flags, io),
        session: { device: flags.device, signal: io.signal },
        onProgress: (done) => {
          progress ??= startProgress(io, { label: "embedding", total: images.length });
          progress.update(done);
        },
      }).finally(() => progress?.stop());
      reportNotes(embedded.notes, io);
      const { skipped, values, origin } = embedded;
      const places = { model: pathFrom(output, model), folder: pathFrom(output, folder) };
      await writeFileAtomic(output, write({ ...embedded, origin: { ...origin, ...places } }));
      reportSkipped(skipped, io);
      const [rows, dimensions] = values.shape as [number, number];
      const { layer, digest } = origin;
      if (json) writeJson(io, { file: output, rows, dimensions, layer, pooling, model, digest, skipped });
      else
        io.stdout(
          `${output}: ${counted(rows, "image")}, ${counted(dimensions, "number")} each (${layer}, ${pooling})\n`,
        );
    },
  );
}

/** Names rows relative to the folder if it is the only argument, else relative to the working directory. */
function rowsOf(paths: readonly string[], images: readonly ImageArgument[]) {
  const isOneFolder = paths.length === 1 && images.every(({ inside }) => inside !== undefined);
  const seen = new Map<string, ImageToEmbed>();
  for (const { file, image, inside } of images) {
    const name = isOneFolder ? inside! : nameFromHere(file);
    const [label, ...rest] = inside?.split("/") ?? [];
    seen.set(name, { file: name, image, ...(rest.length > 0 && { label }) });
  }
  return { folder: isOneFolder ? paths[0]! : ".", images: [...seen.values()] };
}

function nameFromHere(file: string): string {
  return file === "-" || isAddress(file) ? file : relative(".", file).split(sep).join("/");
}
