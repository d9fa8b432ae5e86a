import { stat } from "node:fs/promises";
import { relative, resolve } from "node:path";
import { FileError, UsageError } from "../../../src/base/errors.ts";
import { defaultSource, type ResolvedSettings } from "../../../src/train/settings/resolve.ts";
import { flagOf, settingOf } from "../../../src/train/settings/settings.ts";
import { machineFacts } from "../machine.ts";
import type { FoundCheckpoint, RunRecord } from "./checkpoint-folder.ts";
import { quote, type RunFlags, resumeCommand, type TrainFlags } from "./flags.ts";
import { assertUnchangedImages, changedImages, digestOf, type ImageList } from "./images.ts";

/** Folders and files that may have moved; their contents are compared. */
export const movableSettings = [
  ...(["val", "test", "labelsFile", "valLabelsFile", "testLabelsFile"] as const),
  ...(["imagesList", "mapWeights", "sampleWeights"] as const),
];

/**
 * @param given settings of this command line.
 * @throws {UsageError} they differ from those of the run; the message lists the differences.
 */
export function assertSameSettings(from: FoundCheckpoint, given: ResolvedSettings, flags: TrainFlags): void {
  const { record } = from;
  const differences: { readonly flag: string; readonly now: string; readonly before: string }[] = [];
  for (const [name, source] of given.sources) {
    const now = given.settings[name];
    const before = record.settings[name];
    if (source === defaultSource || JSON.stringify(now) === JSON.stringify(before)) continue;
    if (movableSettings.some((each) => each === name) && now !== null && before !== null) continue;
    // The time limit starts over each time.
    if (name === "maxMinutes" || (name === "epochs" && isExtended(from, given))) continue;
    const { write } = settingOf(name);
    differences.push({ flag: flagOf(name), now: write(now), before: before === undefined ? "" : write(before) });
  }
  if (flags.device !== undefined && flags.device !== record.device) {
    differences.push({ flag: "--device", now: flags.device, before: record.device ?? "not given" });
  }
  if (differences.length === 0) return;
  throw new UsageError({
    where: "option --resume",
    what: "the run was started with other settings",
    received: differences.map(({ flag, now }) => `${flag} ${now}`).join(", "),
    expected: differences.map(({ flag, before }) => `${flag} ${before}`).join(", "),
    remedy: "Leave them out to resume the run, or start a new one in another folder.",
  });
}

/** Returns true if a complete run is to continue for more epochs. */
export function isExtended({ checkpoint, record }: FoundCheckpoint, { settings, sources }: ResolvedSettings): boolean {
  const isGiven = (sources.get("epochs") ?? defaultSource) !== defaultSource;
  return isGiven && checkpoint.isOver && settings.epochs > Number(record.settings.epochs);
}

/**
 * Checks that the images and the files about them still exist.
 * @param folder of the images, if given.
 * @throws {FileError} one is missing; the message shows the flag for its new place.
 */
export async function assertNothingMissing(
  record: RunRecord,
  folder: string | undefined,
  given: ResolvedSettings,
  { output }: Pick<RunFlags, "output">,
): Promise<void> {
  const go = `xception train${folder === undefined ? "" : ` ${quote(folder)}`} --resume -o ${quote(output)}`;
  const places: [where: string, path: string, words: string][] = [];
  if (folder === undefined)
    places.push(["folder", record.folder, `xception train FOLDER --resume -o ${quote(output)}`]);
  for (const name of movableSettings) {
    const path = given.settings[name] === null ? record.settings[name] : null;
    const kind = name === "val" || name === "test" ? "folder" : "file";
    if (typeof path === "string") places.push([kind, path, `${go} ${flagOf(name)} ${kind.toUpperCase()}`]);
  }
  for (const [kind, recorded, words] of places) {
    const path = recordedPath(record, recorded);
    if ((await stat(path).catch(() => undefined)) !== undefined) continue;
    throw new FileError({
      where: `${kind} "${path}"`,
      what: `the run in ${output} started with it, and it no longer exists`,
      remedy: `If it has moved, give its new place: ${words}`,
    });
  }
}

/** @throws {UsageError} the run was started by another number of processes. */
export function assertSameRanks({ checkpoint }: FoundCheckpoint, { ranks, output }: RunFlags): void {
  const before = Number(checkpoint.identity.ranks ?? 1);
  const { size } = ranks.communicator;
  if (size === before) return;
  throw new UsageError({
    where: "option --resume",
    what: "a run must be resumed by as many processes as started it",
    received: size,
    expected: String(before),
    remedy: `To resume: ${resumeCommand(output, before)}`,
  });
}

/** @throws {DataError} the images have changed since the start of the run; the message names them. */
export function assertSameImages(run: string, { record, images }: FoundCheckpoint, now: ImageList): void {
  if (digestOf(now) === record.images) return;
  if (images) assertUnchangedImages(run, images, now);
  throw changedImages(run, "it is unknown which, since their list is missing");
}

/** A path of the run, relative to the current working folder. */
export function recordedPath({ workingFolder }: RunRecord, path: string): string {
  if (workingFolder === process.cwd()) return path;
  return relative(process.cwd(), resolve(workingFolder, path));
}

/** Describes differences of the machine since the start of the run; undefined if there are none. */
export async function machineDifference(
  { machine: before, threads }: RunRecord,
  flags: Pick<RunFlags, "threads">,
): Promise<string | undefined> {
  const recorded = new Map(before.map(({ name, value }) => [name, value]));
  const parts = (await machineFacts())
    .filter(({ name, value }) => recorded.get(name) !== value)
    .map(({ name, value }) => `${name} ${value} instead of ${recorded.get(name) ?? "an unknown one"}`);
  if (flags.threads !== undefined && flags.threads !== threads) {
    parts.push(`--threads ${flags.threads} instead of ${threads ?? "one for each core"}`);
  }
  if (parts.length === 0) return undefined;
  return `The result may differ in its last digits from that of an uninterrupted run: ${parts.join(", ")}.`;
}
