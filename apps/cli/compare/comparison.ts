import { join } from "node:path";
import { AbortedError, FileError, UsageError } from "../../../src/base/errors.ts";
import { parseJson } from "../../../src/base/json.ts";
import { string } from "../../../src/base/kinds.ts";
import type { Platform } from "../../../src/base/platform.ts";
import { fitting, object, type Schema } from "../../../src/base/schema.ts";
import { mean } from "../../../src/base/significance.ts";
import type { ComparedNetwork, ComparedRun, Comparison } from "../../../src/report/comparison.ts";
import { comparisonCsv, comparisonDocument } from "../../../src/report/comparison.ts";
import { networkSizes } from "../../../src/report/cost.ts";
import type { Fact } from "../../../src/report/document.ts";
import { toHtml } from "../../../src/report/html.ts";
import { formatDuration } from "../../../src/report/numbers.ts";
import { readFile, writeFileAtomic } from "../../../src/runtime/node/files.ts";
import { loadClassifier } from "../../../src/tasks/evaluate/classifier.ts";
import { alone } from "../../../src/train/ranks/ranks.ts";
import type { ResolvedSettings } from "../../../src/train/settings/resolve.ts";
import type { CliIo } from "../io.ts";
import { hasCheckpoint, newestCheckpoint } from "../train/checkpoint-folder.ts";
import type { RunFlags } from "../train/flags.ts";
import { isOver } from "../train/rank-training.ts";
import { resumeRun, startRun } from "../train/run.ts";
import { RunFolder } from "../train/run-folder.ts";
import { trainInto } from "../train/train-into.ts";
import { claimsAbout, type NetworkSpec, networkToCompare } from "./networks.ts";

/** Files of a comparison; each run has a folder beside them. */
export const comparisonFiles = { data: "comparison.json", table: "comparison.csv", report: "report.html" } as const;

/** A comparison to carry out. */
export interface ComparisonRequest {
  readonly specs: readonly NetworkSpec[];
  readonly match: string;
  readonly seeds: number;
  /** Folder of the training images. */
  readonly data: string;
  readonly output: string;
  readonly classes: number;
  readonly setup: readonly Fact[];
  readonly command: string;
  readonly flags: Pick<RunFlags, "device" | "threads">;
}

/**
 * Trains every network with every seed, seed by seed, and writes the report after each run. Runs that are complete are kept, an
 * interrupted one is resumed.
 * @throws {AbortedError} it was interrupted.
 * @throws as `train`.
 */
export async function compareNetworks(request: ComparisonRequest, platform: Platform, io: CliIo): Promise<Comparison> {
  const { specs, seeds, output } = request;
  const results = new Map<string, ComparedRun[]>(specs.map(({ name }) => [name, []]));
  const cells = [...Array(seeds).keys()].flatMap((seed) => specs.map((spec) => ({ spec, seed })));
  const durations: number[] = [];
  // Before the first run, so that another comparison cannot resume it.
  if ((await commandOf(output)) === undefined) await writeData(comparisonOf(request, results), output);
  for (const [index, { spec, seed }] of cells.entries()) {
    const start = performance.now();
    const left =
      durations.length === 0 ? "" : `; about ${formatDuration(mean(durations) * (cells.length - index))} left`;
    io.stderr(`\n[${index + 1}/${cells.length}] ${spec.name}, seed ${seed}${left}\n`);
    const { run, isNew } = await trainCell(spec, seed, request, platform, io);
    if (isNew) durations.push((performance.now() - start) / 1000);
    results.get(spec.name)!.push(run);
    await writeComparison(comparisonOf(request, results), output);
  }
  const latencies = await measureLatencies(
    specs.map((spec) => folderOf(request, spec, 0)),
    platform,
  );
  const comparison = comparisonOf(request, results, latencies);
  await writeComparison(comparison, output);
  return comparison;
}

async function trainCell(spec: NetworkSpec, seed: number, request: ComparisonRequest, platform: Platform, io: CliIo) {
  const path = folderOf(request, spec, seed);
  const ranks = { communicator: alone, threads: request.flags.threads, leave: () => {} };
  const flags: RunFlags = {
    ...request.flags,
    output: path,
    ranks,
    tensorboard: false,
    healthSteps: 0,
    keepCheckpoints: 1,
  };
  const resolved = withSeed(spec.resolved, seed);
  const note = (text: string) => io.stderr(`${text}\n`);
  const from = (await hasCheckpoint(path)) ? await newestCheckpoint(path, note) : undefined;
  const folder = await RunFolder.claim(path, from ? { resume: true } : { overwrite: true });
  await folder.removeTemporaryFiles();
  if (from && (await isOver(from, folder))) {
    note("complete");
    return { run: resultOf(path, seed, from.checkpoint), isNew: false };
  }
  const run = from
    ? await resumeRun(from, request.data, flags, resolved, platform)
    : await startRun(request.data, flags, resolved, platform);
  const result = await trainInto(folder, run, platform, io);
  if (result.aborted) {
    throw new AbortedError({
      where: "compare",
      what: `it was stopped in the run of ${spec.name} with seed ${seed}; everything so far is in ${request.output}`,
      remedy: "To resume, run the same command again.",
    });
  }
  return { run: resultOf(path, seed, (await newestCheckpoint(path, note)).checkpoint), isNew: true };
}

function withSeed({ settings, sources }: ResolvedSettings, seed: number): ResolvedSettings {
  return { settings: { ...settings, seed, weightsSeed: seed }, sources: new Map(sources).set("seed", "comparison") };
}

/** The result of a complete run, from its last checkpoint. */
function resultOf(
  folder: string,
  seed: number,
  { history, state, best }: Awaited<ReturnType<typeof newestCheckpoint>>["checkpoint"],
): ComparedRun {
  if (!best) {
    throw new FileError({
      where: `folder "${folder}"`,
      what: "the test result of its last epoch is lost",
      remedy: "Delete this folder, and run the same command again.",
    });
  }
  const { evaluation, predictions } = best.test;
  const { images, top1, top5, loss } = evaluation;
  const byName = predictions.toSorted((a, b) => (a.file < b.file ? -1 : 1));
  const correct = byName.map(({ truthRank }) => truthRank === 1);
  return { seed, folder, history, steps: state.steps, images, top1, top5, loss, correct };
}

function folderOf({ output }: Pick<ComparisonRequest, "output">, { name }: NetworkSpec, seed: number): string {
  const slug = name.replaceAll(/[^\w.]+/g, "-").replaceAll(/^-|-$/g, "");
  return join(output, `${slug}-seed-${seed}`);
}

function comparisonOf(
  { specs, match, setup, command, classes }: ComparisonRequest,
  results: ReadonlyMap<string, readonly ComparedRun[]>,
  latencies: readonly number[] = [],
): Comparison {
  const networks = specs.map(({ name, resolved: { settings } }, index): ComparedNetwork => {
    const { epochs, batchSize } = settings;
    const sizes = networkSizes(networkToCompare(settings, classes));
    return { name, ...sizes, epochs, batchSize: batchSize!, latencyMs: latencies[index], runs: results.get(name)! };
  });
  return { match, networks, setup, command, claims: claimsAbout(specs) };
}

/** Timed classifications of each model, interleaved. */
const timedRounds = 15;

/** The median time to classify one image that is already decoded, in milliseconds, for the model in each folder. */
async function measureLatencies(folders: readonly string[], platform: Platform): Promise<readonly number[]> {
  const classifiers = await Promise.all(
    folders.map((folder) => loadClassifier(join(folder, "model.onnx"), { platform })),
  );
  const times = classifiers.map((): number[] => []);
  const side = 64;
  const image = { width: side, height: side, data: new Uint8Array(3 * side * side).fill(127) };
  try {
    for (let round = 0; round <= timedRounds; round++) {
      for (const [index, classifier] of classifiers.entries()) {
        const start = performance.now();
        await classifier.classify(image);
        // The first round warms up.
        if (round > 0) times[index]!.push(performance.now() - start);
      }
    }
  } finally {
    await Promise.all(classifiers.map((classifier) => classifier.dispose()));
  }
  return times.map((each) => each.toSorted((a, b) => a - b)[timedRounds >> 1]!);
}

async function writeComparison(comparison: Comparison, output: string): Promise<void> {
  await writeFileAtomic(join(output, comparisonFiles.report), await toHtml(comparisonDocument(comparison)));
  await writeFileAtomic(join(output, comparisonFiles.table), comparisonCsv(comparison));
  await writeData(comparison, output);
}

async function writeData(comparison: Comparison, output: string): Promise<void> {
  await writeFileAtomic(join(output, comparisonFiles.data), `${JSON.stringify(comparison, undefined, 2)}\n`);
}

const identitySchema = object({ command: string });

/**
 * Checks that a folder is empty, new, or of the same comparison.
 * @throws {UsageError} it contains another comparison.
 */
export async function assertSameComparison(output: string, command: string): Promise<void> {
  const before = await commandOf(output);
  if (before === undefined || before === command) return;
  throw new UsageError({
    where: "option --output",
    what: "the folder contains another comparison",
    received: command,
    expected: before,
    remedy: "Resume that one, or choose another folder.",
  });
}

/** The command line of the comparison in a folder, if there is one. */
async function commandOf(output: string): Promise<string | undefined> {
  return (await readOwnFile(join(output, comparisonFiles.data), identitySchema))?.command;
}

/** The contents of a file of a comparison; undefined if there is none. @throws {FormatError} it is of another form. */
export async function readOwnFile<T>(path: string, schema: Schema<T>): Promise<T | undefined> {
  const bytes = await readFile(path).catch((error: unknown) => {
    if (error instanceof FileError) return undefined;
    throw error;
  });
  const where = `file "${path}"`;
  return bytes && fitting(schema, parseJson(new TextDecoder().decode(bytes), where), where);
}
