import { join } from "node:path";
import type { Command } from "commander";
import { formatDuration } from "../../../src/report/numbers.ts";
import { nodePlatform } from "../../../src/runtime/node/platform.ts";
import { claimDemoFolder, demoFiles, runDemo } from "../demo/demo.ts";
import { conclusion, type DemoResult } from "../demo/description.ts";
import { readDemoImages } from "../demo/images.ts";
import { type DemoRecipe, demoRecipe } from "../demo/recipe.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addCommand, countOf } from "../options.ts";
import { reportSkipped } from "../progress.ts";
import { runFiles } from "../train/run-folder.ts";

interface DemoFlags {
  readonly output: string;
  readonly seed: number;
  readonly epochs: number;
  readonly json?: boolean;
}

export function registerDemo(program: Command, io: CliIo): void {
  addCommand(program, "demo", {
    summary: "Train a small Xception on emoji and write an illustrated report",
    details: "Trains from scratch on one vendor's emoji and tests on another vendor's.",
    examples: ["xception demo", "xception demo --seed 1 -o demo-1"],
  })
    .option("-o, --output <folder>", "where to write; an earlier demo in it is replaced", "demo")
    .option("--seed <n>", "seed of weights, shuffles and augmentation", countOf("--seed", { from: 0 }), demoRecipe.seed)
    .option("--epochs <n>", "passes over the images", countOf("--epochs"), demoRecipe.epochs)
    .action(async ({ output, seed, epochs, json }: DemoFlags) => {
      const start = performance.now();
      const folder = await claimDemoFolder(output, nodePlatform.files);
      const images = await readDemoImages();
      const recipe = { ...demoRecipe, seed, epochs };
      const result = await runDemo(folder, images, recipe, nodePlatform, io);
      reportSkipped([...result.training.skipped, ...result.test.skipped], io);
      const seconds = (performance.now() - start) / 1000;
      if (json) writeJson(io, { folder: output, files: demoFiles, seconds, ...asJson(result, recipe) });
      else io.stdout(`\n${conclusion(result, images, recipe, io.columns)}`);
      io.stderr(`\nWrote ${demoFiles.join(", ")} into ${output}, all in ${formatDuration(seconds)}.\n`);
      io.stderr(`Open ${join(output, runFiles.report)} in a browser.\n`);
    });
}

function asJson(
  { training, test, fingerprint }: DemoResult,
  { imageSize, width, middleFlowRepeats, seed, epochs }: DemoRecipe,
) {
  const { history, steps } = training;
  return {
    seed,
    epochs,
    steps,
    network: { imageSize, width, middleFlowRepeats },
    sha256: fingerprint,
    history,
    evaluation: test.evaluation,
  };
}
