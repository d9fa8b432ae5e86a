import { join } from "node:path";
import type { Command } from "commander";
import { formatDuration } from "../../../src/report/numbers.ts";
import { nodePlatform } from "../../../src/runtime/node/platform.ts";
import { demoRecipe, readDemoImages } from "../demo/data.ts";
import { claimDemoFolder, demoFiles, runDemo } from "../demo/demo.ts";
import { conclusion } from "../demo/description.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addHelp, countOf } from "../options.ts";
import { reportSkipped } from "../progress.ts";
import { runFiles } from "../train/run-folder.ts";

interface DemoFlags {
  readonly output: string;
  readonly seed: number;
  readonly epochs: number;
  readonly json?: boolean;
}

export default function registerDemo(command: Command, io: CliIo): void {
  addHelp(command, {
    details: "Trains from scratch on one vendor's emoji and tests on another vendor's.",
    examples: ["xception demo", "xception demo --seed 1 -o demo-1"],
  })
    .option("-o, --output <folder>", "output folder; an earlier demo in it is replaced", "demo")
    .option(
      "--seed <n>",
      "seed of weights, shuffling and augmentation",
      countOf("--seed", { from: 0 }),
      demoRecipe.seed,
    )
    .option("--epochs <n>", "passes over the training images", countOf("--epochs"), demoRecipe.epochs)
    .action(async ({ output, seed, epochs, json }: DemoFlags) => {
      const start = performance.now();
      const folder = await claimDemoFolder(output, nodePlatform.files);
      const images = await readDemoImages();
      const recipe = { ...demoRecipe, seed, epochs };
      const result = await runDemo(folder, images, recipe, nodePlatform, io);
      reportSkipped([...result.training.skipped, ...result.test.skipped], io);
      const seconds = (performance.now() - start) / 1000;
      if (json) {
        const { imageSize, width, middleFlowRepeats } = recipe;
        const { history, steps } = result.training;
        const written = { folder: output, files: demoFiles, seconds, seed, epochs, steps };
        const network = { imageSize, width, middleFlowRepeats };
        const { fingerprint: sha256, test } = result;
        writeJson(io, { ...written, network, sha256, history, evaluation: test.evaluation });
      } else io.stdout(`\n${conclusion(result, images, recipe, io.columns)}`);
      io.stderr(`\nWrote ${demoFiles.join(", ")} to ${output}; total time ${formatDuration(seconds)}.\n`);
      io.stderr(`Open ${join(output, runFiles.report)} in a browser.\n`);
    });
}
