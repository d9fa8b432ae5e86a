import { join } from "node:path";
import type { FileError } from "../../../src/base/errors.ts";
import { counted, formatDuration } from "../../../src/report/numbers.ts";
import { downloadSettings } from "../../../src/runtime/node/downloads.ts";
import { makeFolders, readFile, writeFileAtomic } from "../../../src/runtime/node/files.ts";
import type { FeatureCache, HeadHooks, TrainingProgress, TrainingResult } from "../../../src/train/request.ts";
import type { Settings } from "../../../src/train/settings/settings.ts";
import type { CliIo } from "../io.ts";
import { type Progress, startProgress } from "../progress.ts";

/** Shows progress on stderr: a bar for each epoch on a terminal, otherwise a line now and then; and a line per epoch. */
export function trainingDisplay(io: CliIo, secondsBetweenLines = 30) {
  let bar: Progress | undefined;
  let lastLineAt = performance.now();
  const writeLine = (line: string) => {
    io.stderr(`${line}\n`);
    lastLineAt = performance.now();
  };
  /** Removes the bar. */
  const stop = () => {
    bar?.stop();
    bar = undefined;
  };
  return {
    showStep(progress: TrainingProgress): void {
      const { epoch, epochs, step, steps } = progress;
      const label = `epoch ${epoch}/${epochs}`;
      if (io.isTTY) {
        // Not only at the first step: a resumed epoch starts with a later one.
        bar ??= startProgress(io, { label, total: steps });
        bar.update(step, describeStep(progress));
      } else if (performance.now() - lastLineAt >= 1000 * secondsBetweenLines) {
        writeLine(`${label}, step ${step}/${steps}: ${describeStep(progress)}`);
      }
    },
    showEpoch(soFar: TrainingResult, settings: Pick<Settings, "epochs" | "keep">): void {
      stop();
      writeLine(describeEpoch(soFar, settings));
    },
    stop,
  };
}

function describeStep({ loss, accuracy, imagesPerSecond, secondsLeft }: TrainingProgress): string {
  const left = formatDuration(secondsLeft);
  return `loss ${loss.toFixed(3)}, accuracy ${percent(accuracy)}, ${speed(imagesPerSecond)}, ETA ${left}`;
}

function describeEpoch(
  { history, epoch: best, evaluation }: TrainingResult,
  { epochs, keep }: Pick<Settings, "epochs" | "keep">,
): string {
  const { epoch, loss, accuracy, validationLoss, validationAccuracy, validationPrecision, imagesPerSecond, seconds } =
    history.at(-1)!;
  const parts = [`loss ${loss.toFixed(3)}`, `accuracy ${percent(accuracy)}`];
  if (validationLoss !== undefined && validationAccuracy !== undefined) {
    parts.push(`validation loss ${validationLoss.toFixed(3)}`, `validation accuracy ${percent(validationAccuracy)}`);
  }
  if (validationPrecision !== undefined) parts.push(`MAP@100 ${percent(validationPrecision)}`);
  parts.push(speed(imagesPerSecond), formatDuration(seconds));
  if (evaluation && keep === "best" && best === epoch) parts.push("best so far");
  return `epoch ${epoch}/${epochs}: ${parts.join(", ")}`;
}

function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)} %`;
}

function speed(imagesPerSecond: number): string {
  return `${imagesPerSecond.toFixed(imagesPerSecond < 10 ? 1 : 0)} images/s`;
}

/** Shows the training of the head on stderr, and caches its features for the user. */
export function headHooks(epochs: number, cacheFolder: string | undefined, io: CliIo): HeadHooks {
  const folder = cacheFolder ?? downloadSettings(process.env).cacheFolder;
  let progress: Progress | undefined;
  return {
    cache: featureFolder(join(folder, "features")),
    onProgress: (done, total) => {
      progress ??= startProgress(io, { label: "features of the frozen network", total });
      progress.update(done);
      if (done >= total) progress.stop();
    },
    onNote: (note) => io.stderr(`${note}\n`),
    onEnd: ({ views, loss, accuracy, seconds }) => {
      progress?.stop();
      const reached = `loss ${loss.toFixed(3)}, accuracy ${percent(accuracy)}, ${formatDuration(seconds)}`;
      io.stderr(`Head only, ${counted(epochs, "epoch")} on ${counted(views, "view")}: ${reached}\n`);
    },
  };
}

/** A feature cache in a folder, which is created for the first file. */
function featureFolder(folder: string): FeatureCache {
  return {
    read: async (name) => {
      try {
        return await readFile(join(folder, name));
      } catch (error) {
        // If the folder is a file, writing fails with an explanation.
        const { code } = ((error as FileError).cause ?? {}) as NodeJS.ErrnoException;
        if (code === "ENOENT" || code === "ENOTDIR") return undefined;
        throw error;
      }
    },
    write: async (name, bytes) => {
      await makeFolders(folder);
      await writeFileAtomic(join(folder, name), bytes);
    },
  };
}
