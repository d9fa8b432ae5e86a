import type { Device } from "../../../src/base/platform.ts";
import { readBoxes } from "../../../src/data/boxes.ts";
import type { ClassifierSession, LoadedModel } from "../../../src/model/load-model.ts";
import type { Fact } from "../../../src/report/document.ts";
import { explanationScoreDocument } from "../../../src/report/explanation.ts";
import { toHtml } from "../../../src/report/html.ts";
import { toText } from "../../../src/report/text.ts";
import { writeFileAtomic } from "../../../src/runtime/node/files.ts";
import { type ScoreOptions, scoreExplanations } from "../../../src/tasks/explain/score.ts";
import type { ImageArgument } from "../image-arguments.ts";
import { type CliIo, writeJson } from "../io.ts";
import { reportSkipped, startProgress } from "../progress.ts";

interface ScoreFlags extends Pick<ScoreOptions, "layer" | "samples" | "augSmooth" | "eigenSmooth" | "seed"> {
  readonly boxes?: string;
  readonly device?: Device;
  readonly output?: string;
  readonly json?: boolean;
}

/** What `explain --score` tests, and where it writes. */
interface Scoring extends Pick<ScoreOptions, "platform" | "methods"> {
  readonly flags: ScoreFlags;
  readonly about: readonly Fact[];
  readonly io: CliIo;
}

/** Tests the methods on the images, prints the scores and writes them as a page if asked to. */
export async function writeScores(
  model: LoadedModel | ClassifierSession,
  images: readonly ImageArgument[],
  { flags, methods, platform, about, io }: Scoring,
): Promise<void> {
  const { layer, samples, augSmooth, eigenSmooth, seed, device, output, json } = flags;
  const choice = { layer, samples, augSmooth, eigenSmooth, seed, signal: io.signal };
  const boxes =
    flags.boxes === undefined
      ? undefined
      : readBoxes(new TextDecoder().decode(await platform.files!.read(flags.boxes)), `file "${flags.boxes}"`);
  let progress: ReturnType<typeof startProgress> | undefined;
  const result = await scoreExplanations(model, images, {
    ...choice,
    platform,
    session: { device, signal: io.signal },
    methods,
    boxes,
    onProgress: ({ done, total }) => {
      progress ??= startProgress(io, { label: "testing", total });
      progress.update(done);
    },
  }).finally(() => progress?.stop());
  reportSkipped(result.skipped, io);
  const document = explanationScoreDocument(result, about);
  if (output !== undefined) await writeFileAtomic(output, await toHtml(document));
  if (json) writeJson(io, result);
  else io.stdout(`${toText(document, { width: io.columns ?? 120 })}\n`);
  for (const { method, isSane } of result.scores) {
    if (isSane === false)
      io.stderr(`warning: ${method} failed the sanity check: its maps hardly depend on the weights\n`);
  }
}
