import { mkdir } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { type Command, Option } from "commander";
import { loadModel } from "../../../src/model/load-model.ts";
import { writeFileAtomic } from "../../../src/runtime/node/files.ts";
import { modelRepository, type RepositoryTarget, repositoryTargets } from "../../server/export-repository.ts";
import { type BatchSettings, batchSettings, serveSettings } from "../../server/settings.ts";
import { addClassifierOptions, type ClassifierFlags, classifierArguments, reportNotes } from "../classifier-options.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addHelp } from "../options.ts";
import { assertOverwrite } from "../output-file.ts";
import { addSettingOptions, givenSettings } from "../setting-options.ts";

interface ExportFlags extends Partial<BatchSettings>, Omit<ClassifierFlags, "top"> {
  readonly for: RepositoryTarget;
  readonly name?: string;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

export default function registerExportRepository(command: Command, io: CliIo): void {
  addHelp(command, {
    details:
      "Writes the model as ONNX with its configuration (config.pbtxt with the same batching flags as xception serve), a " +
      "Dockerfile, and Kubernetes manifests. MODEL is a classifier in any supported format, a URL, or imagenet.",
    examples: [
      "xception export-repository run/model.onnx deploy --for triton",
      "xception export-repository run/model.onnx deploy --for kserve --name clothing --max-batch-size 16",
    ],
  })
    .addOption(new Option("--for <server>", "server to write for").choices(repositoryTargets).makeOptionMandatory())
    .option("--name <name>", "name of the model (default: that of its file)")
    .option("--overwrite", "replace existing files");
  // Triton forms batches of any size unless some are preferred; it measures nothing.
  const preferredBatchSize = { ...batchSettings.preferredBatchSize, defaultText: "any size" };
  addSettingOptions(command, { ...batchSettings, preferredBatchSize }, "Batching");
  addClassifierOptions(command).action(async (source: string, folder: string, flags: ExportFlags) => {
    const { for: target, name = nameOf(source), overwrite, json } = flags;
    const { platform, options } = await classifierArguments(command, flags, io);
    const model = await loadModel(source, platform, options);
    reportNotes(model.notes, io);
    const settings = serveSettings(givenSettings(flags, batchSettings));
    const files = modelRepository(model, { target, name, settings });
    const paths = [...files.keys()].map((path) => join(folder, path));
    for (const path of paths) assertOverwrite("folder", path, overwrite);
    for (const [path, content] of files) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFileAtomic(join(folder, path), content);
    }
    if (json) writeJson(io, { files: paths });
    else io.stdout(`${paths.join("\n")}\n`);
  });
}

/** A name that Kubernetes accepts, from a file's. */
function nameOf(source: string): string {
  const name = basename(source, extname(source))
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-");
  return (
    name
      .replace(/^[^a-z]+/, "")
      .slice(0, 63)
      .replace(/-+$/, "") || "model"
  );
}
