import type { Command } from "commander";
import { DataError, UsageError } from "../../../src/base/errors.ts";
import { choice, listOf } from "../../../src/base/kinds.ts";
import { type ClassifierSession, type LoadedModel, loadModelOrGraph } from "../../../src/model/load-model.ts";
import { factsOf } from "../../../src/report/document.ts";
import { counted, formatPercent } from "../../../src/report/numbers.ts";
import { assertWritable } from "../../../src/runtime/node/files.ts";
import { defaultMethodOf, Explainer } from "../../../src/tasks/explain/explainer.ts";
import { gradientCams } from "../../../src/tasks/explain/maps.ts";
import {
  type ExplanationMethod,
  explanationMethods,
  isUsed,
  smallIncompleteness,
} from "../../../src/tasks/explain/methods.ts";
import { hasLayers, loadProbe } from "../../../src/tasks/explain/probe.ts";
import { flagOf } from "../../../src/train/settings/settings.ts";
import { addClassifierOptions, type ClassifierFlags, classifierArguments, reportNotes } from "../classifier-options.ts";
import {
  describeExplanation,
  explanationJson,
  type Found,
  similarTo,
  writeExplanations,
} from "../explain/explanations.ts";
import { writeScores } from "../explain/scores.ts";
import { type ImageArgument, imagesOf } from "../image-arguments.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addHelp, countOf, valueReader } from "../options.ts";
import { extensionOf } from "../output-file.ts";
import { startProgress } from "../progress.ts";

interface ExplainFlags extends Omit<ClassifierFlags, "top"> {
  readonly output?: string;
  readonly method?: readonly ExplanationMethod[];
  readonly class?: string;
  readonly against?: string;
  readonly layer?: string;
  readonly samples?: number;
  readonly augSmooth?: boolean;
  readonly eigenSmooth?: boolean;
  readonly seed: number;
  readonly score?: boolean;
  readonly boxes?: string;
  readonly embeddings?: string;
  readonly folder?: string;
  readonly json?: boolean;
}

export default function registerExplain(command: Command, io: CliIo): void {
  addHelp(command, {
    details:
      "Draws heat maps over images, by default by Grad-CAM of the top class. MODEL is a classifier in any supported " +
      "format, a URL, or imagenet. Without --output a sketch of each map is printed. --score tests the methods on a folder " +
      "instead: whether the probability falls when a map's top positions are hidden (deletion, insertion, ROAD), and " +
      "whether maps change when weights are randomized.",
    examples: [
      "xception explain run/model.onnx cat.jpg -o cat.png",
      "xception explain run/model.onnx photos/ --embeddings embeddings.safetensors -o sheet.html",
    ],
  })
    .option("-o, --output <file>", "what to write: .html, or of one image .png, or its map as .npy")
    .option(
      "--method <name,name>",
      `${explanationMethods.join(", ")} (default: grad-cam; with --score ${gradientCams.join(", ")}; occlusion for a graph whose layers are not known)`,
      valueReader("--method", listOf(choice(...explanationMethods))),
    )
    .option("--class <name>", "class to explain (default: the top class)")
    .option("--against <name>", "explain the difference from this class (default: none)")
    .option(
      "--layer <name>",
      "layer whose activations are explained, or the number of a stage (default: the last feature map)",
    )
    .option(
      "--samples <n>",
      "runs of the network, for methods that need many (default: the method's)",
      countOf("--samples"),
    )
    .option("--aug-smooth", "average over mirrored, darker and brighter copies")
    .option("--eigen-smooth", "first principal component of the weighted activations")
    .option(
      "--seed <n>",
      `seed of ${explanationMethods.filter((method) => isUsed("seed", method)).join(" and ")}`,
      countOf("--seed", { from: 0 }),
      0,
    )
    .option("--score", "test the methods on the images")
    .option("--boxes <file>", "with --score: boxes around objects, as CSV or COCO's JSON, for the pointing game")
    .option("--embeddings <file>", "also find the most similar images of a file that xception embed wrote with MODEL")
    .option("--folder <folder>", "with --embeddings: folder of their images (default: the recorded one)");
  addClassifierOptions(command).action(async (model: string, paths: readonly string[], flags: ExplainFlags) => {
    const { device, output, json, score } = flags;
    if (score) assertTopClass(flags);
    assertTogether(flags);
    const extensions = score ? (["html"] as const) : (["html", "png", "npy"] as const);
    const extension = output === undefined ? undefined : extensionOf(output, extensions, "--output");
    if (output !== undefined) await assertWritable(output);
    const { platform, options } = await classifierArguments(command, flags, io);
    const images = await imagesOf(paths, io, platform.files);
    if (extension === "png" || extension === "npy") assertOneImage(images, flags, extension);
    const similar = flags.embeddings === undefined ? undefined : await similarTo(model, images, flags, io);
    const loaded = await loadModelOrGraph(model, platform, options, { device }, "layers");
    reportNotes(loaded.notes, io);
    const methods = methodsOf(flags, loaded);
    assertUsed(flags, methods);
    const smoothing = [...(flags.augSmooth ? ["aug-smooth"] : []), ...(flags.eigenSmooth ? ["eigen-smooth"] : [])];
    const about = factsOf({
      Model: model,
      Layer: flags.layer,
      Samples: flags.samples?.toString(),
      Smoothing: smoothing.length > 0 ? smoothing.join(", ") : undefined,
      Seed: methods.some((method) => isUsed("seed", method)) ? String(flags.seed) : undefined,
    });
    if (score) return writeScores(loaded, images, { flags, methods, platform, about, io });

    const explainer = new Explainer(await loadProbe(loaded, platform, { device, signal: io.signal }), loaded.notes);
    const found: Found[] = [];
    const progress = images.length > 1 ? startProgress(io, { label: "explaining", total: images.length }) : undefined;
    try {
      for (const each of images) {
        for (const method of methods) {
          const { class: label, against, layer, samples, augSmooth, eigenSmooth, seed } = flags;
          const choice = { method, label, against, layer, samples, augSmooth, eigenSmooth, seed, signal: io.signal };
          for await (const result of explainer.explainAll([each.image], choice)) {
            found.push({ ...each, ...result, neighbors: similar?.neighbors.get(each.file) });
          }
        }
        progress?.update(new Set(found.map(({ file }) => file)).size);
      }
    } finally {
      progress?.stop();
      await explainer.dispose();
    }
    const isWritten =
      output !== undefined &&
      (await writeExplanations(output, extension!, found, { loaded, platform, about, place: similar?.place, io }));
    if (isWritten && !json) io.stderr(`Wrote ${output}\n`);
    reportIncompleteness(found, io);
    if (json) writeJson(io, found.map(explanationJson));
    else for (const each of found) if (output === undefined || "error" in each) io.stdout(describeExplanation(each));
    const failed = new Set(found.flatMap((each) => ("error" in each ? [each.file] : [])));
    if (failed.size > 0) {
      throw new DataError({
        where: "explain",
        what: `images that could not be explained: ${failed.size} of ${images.length}`,
      });
    }
  });
}

function reportIncompleteness(found: readonly Found[], io: CliIo): void {
  const errors = found.flatMap((each) => ("explanation" in each ? (each.explanation.incompleteness ?? []) : []));
  const worst = Math.max(0, ...errors);
  if (worst <= smallIncompleteness) return;
  const share = formatPercent(worst).replaceAll("\u00a0", " ");
  reportNotes(
    [`integrated-gradients: a map adds up to the change of the logit only within ${share}; increase --samples`],
    io,
  );
}

/** @throws {UsageError} a class is named: scores are those of each image's top class. */
function assertTopClass(flags: ExplainFlags): void {
  const name = (["class", "against"] as const).find((each) => flags[each] !== undefined);
  if (name === undefined) return;
  throw new UsageError({
    where: `option --${name}`,
    what: "--score tests the explanations of each image's top class",
    received: flags[name],
    remedy: "Leave out one of the two.",
  });
}

/** @throws {UsageError} an option has no effect without another one, or beside it. */
function assertTogether({ score, boxes, embeddings, folder }: ExplainFlags): void {
  const cases: readonly (readonly [isMisused: boolean, name: string, what: string, expected: string])[] = [
    [boxes !== undefined && !score, "boxes", "boxes are for testing methods", "--score with it"],
    [embeddings !== undefined && score === true, "embeddings", "--score shows no images", "one of the two"],
    [
      folder !== undefined && embeddings === undefined,
      "folder",
      "it is that of the embeddings",
      "--embeddings with it",
    ],
  ];
  const [, name, what, expected] = cases.find(([isMisused]) => isMisused) ?? [];
  if (name !== undefined) throw new UsageError({ where: `option --${name}`, what: what!, expected: expected! });
}

function methodsOf(
  { method, score }: ExplainFlags,
  loaded: LoadedModel | ClassifierSession,
): readonly ExplanationMethod[] {
  if (method !== undefined) return method;
  // Others take much longer than classifying.
  return score && hasLayers(loaded) ? gradientCams : [defaultMethodOf(loaded)];
}

/** @throws {UsageError} an option has no effect on any of the methods. */
function assertUsed(flags: ExplainFlags, methods: readonly ExplanationMethod[]): void {
  for (const option of ["layer", "samples", "eigenSmooth"] as const) {
    if (flags[option] === undefined || methods.some((method) => isUsed(option, method))) continue;
    throw new UsageError({
      where: `option ${flagOf(option)}`,
      what: "it has no effect on the method",
      received: methods.join(", "),
      expected: `--method ${explanationMethods.filter((method) => isUsed(option, method)).join(" or ")}`,
    });
  }
}

function assertOneImage(images: readonly ImageArgument[], { method = [] }: ExplainFlags, extension: string): void {
  if (images.length === 1 && method.length <= 1) return;
  throw new UsageError({
    where: "option --output",
    what: `a .${extension} file holds one map`,
    received: `${counted(images.length, "image")} and ${counted(Math.max(1, method.length), "method")}`,
    remedy: "Write .html, or print all maps with --json.",
  });
}
