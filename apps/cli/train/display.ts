import { join } from "node:path";
import { FileError } from "../../../src/base/errors.ts";
import { formatDuration } from "../../../src/report/numbers.ts";
import { downloadSettings } from "../../../src/runtime/node/downloads.ts";
import { makeFolders, readFile, writeFileAtomic } from "../../../src/runtime/node/files.ts";
import type { FeatureCache, HeadHooks, TrainingProgress, TrainingResult } from "../../../src/train/request.ts";
import type { CliIo } from "../io.ts";
import { type Progress, startProgress } from "../progress.ts";

/**
 * Shows a training on stderr: a bar for each epoch if a person looks on, otherwise a line every now and then; and one
 * line for each epoch that is over.
 */
export class TrainingDisplay {
  readonly #io: CliIo;
  readonly #secondsBetweenLines: number;
  #bar: Progress | undefined;
  #lastLineAt = performance.now();

  constructor(io: CliIo, options: { readonly secondsBetweenLines?: number } = {}) {
    this.#io = io;
    this.#secondsBetweenLines = options.secondsBetweenLines ?? 30;
  }

  showStep(progress: TrainingProgress): void {
    const { epoch, epochs, step, steps } = progress;
    const label = `epoch ${epoch}/${epochs}`;
    if (this.#io.isTTY) {
      // Not at the first step of an epoch: a resumed run starts with another one.
      this.#bar ??= startProgress(this.#io, { label, total: steps });
      this.#bar.update(step, describeStep(progress));
    } else if (performance.now() - this.#lastLineAt >= 1000 * this.#secondsBetweenLines) {
      this.#writeLine(`${label}, step ${step}/${steps}: ${describeStep(progress)}`);
    }
  }

  showEpoch(soFar: TrainingResult, epochs: number): void {
    this.stop();
    this.#writeLine(describeEpoch(soFar, epochs));
  }

  /** Ends the bar, wherever it is. */
  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  #writeLine(line: string): void {
    this.#io.stderr(`${line}\n`);
    this.#lastLineAt = performance.now();
  }
}

function describeStep({ loss, accuracy, imagesPerSecond, secondsLeft }: TrainingProgress): string {
  const left = formatDuration(secondsLeft);
  return `loss ${loss.toFixed(3)}, accuracy ${percent(accuracy)}, ${speed(imagesPerSecond)}, ${left} to the end`;
}

function describeEpoch({ history, epoch: best, evaluation }: TrainingResult, epochs: number): string {
  const { epoch, loss, accuracy, validationLoss, validationAccuracy, validationPrecision, imagesPerSecond, seconds } =
    history.at(-1)!;
  const parts = [`loss ${loss.toFixed(3)}`, `accuracy ${percent(accuracy)}`];
  if (validationLoss !== undefined && validationAccuracy !== undefined) {
    parts.push(`validation loss ${validationLoss.toFixed(3)}`, `validation accuracy ${percent(validationAccuracy)}`);
  }
  if (validationPrecision !== undefined) parts.push(`MAP@100 ${percent(validationPrecision)}`);
  parts.push(speed(imagesPerSecond), formatDuration(seconds));
  if (evaluation && best === epoch) parts.push("best so far");
  return `epoch ${epoch}/${epochs}: ${parts.join(", ")}`;
}

function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)} %`;
}

function speed(imagesPerSecond: number): string {
  return `${imagesPerSecond.toFixed(imagesPerSecond < 10 ? 1 : 0)} images/s`;
}

/** Shows the training of the head on stderr, and keeps its features in the user's cache. */
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
      const reached = `loss ${loss.toFixed(3)}, accuracy ${(100 * accuracy).toFixed(1)} %`;
      io.stderr(`Head only, ${epochs} epochs on ${views} views: ${reached}, ${formatDuration(seconds)}\n`);
    },
  };
}

/** Features of frozen networks as files of a folder, which is made when there is something to put into it. */
function featureFolder(folder: string): FeatureCache {
  return {
    read: async (name) => {
      try {
        return await readFile(join(folder, name));
      } catch (error) {
        if (error instanceof FileError && isMissing(error.cause as NodeJS.ErrnoException)) return undefined;
        throw error;
      }
    },
    write: async (name, bytes) => {
      await makeFolders(folder);
      await writeFileAtomic(join(folder, name), bytes);
    },
  };
}

/** Where the folder is a file, writing will say so. */
function isMissing({ code }: NodeJS.ErrnoException): boolean {
  return code === "ENOENT" || code === "ENOTDIR";
}
