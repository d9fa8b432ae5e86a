import { join } from "node:path";
import { formatDuration } from "../../../src/report/numbers.ts";
import { downloadSettings } from "../../../src/runtime/node-downloads.ts";
import type { HeadPhase } from "../../../src/tasks/train/head-phase-options.ts";
import type { CliIo } from "../io.ts";
import { type Progress, startProgress } from "../progress.ts";
import { featureFolder } from "./feature-folder.ts";

/** The first phase of a training with its progress shown on stderr, and its features kept in the user's cache. */
export function shownHeadPhase(phase: HeadPhase, cacheFolder: string | undefined, io: CliIo): HeadPhase {
  const folder = cacheFolder ?? downloadSettings(process.env).cacheFolder;
  let progress: Progress | undefined;
  return {
    ...phase,
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
      io.stderr(
        `The classifier alone, ${phase.epochs} epochs on ${views} views: ${reached}, ${formatDuration(seconds)}\n`,
      );
    },
  };
}
