import { z } from "zod";
import { checkDocument } from "../../../src/json-document.ts";
import { devices } from "../../../src/platform.ts";
import type { TrainingPlan } from "../../../src/tasks/train/prepare.ts";
import { type ResolvedSettings, resolveSettings } from "../../../src/tasks/train/settings/resolve.ts";
import type { SettingName, Settings } from "../../../src/tasks/train/settings/settings.ts";
import type { RunFlags } from "./flags.ts";
import { machineFacts } from "./machine.ts";

const recordSchema = z.object({
  /** The images' folder as it was given, and where. */
  folder: z.string(),
  workingFolder: z.string(),
  device: z.enum(devices).nullable(),
  /** Of the engine in each process, where they were chosen: with another number the last digits may differ. */
  threads: z.int().nullable().default(null),
  settings: z.record(z.string(), z.json()),
  /** Where each setting that has an effect comes from. */
  sources: z.array(z.tuple([z.string(), z.string()])),
  /** How the starting weights want images; null: the default. The weights themselves are not needed any more. */
  preprocessing: z.json(),
  /** What of the starting weights still matters. */
  start: z
    .object({
      file: z.string(),
      format: z.string(),
      tensors: z.int(),
      headOn: z.string().nullable(),
      anew: z.array(z.string()),
      origin: z.record(z.string(), z.json()).default({}),
    })
    .nullable(),
  commandLine: z.string(),
  /** Of the list of images. */
  images: z.string(),
  /** What computes: with another one the last digits may differ. */
  machine: z.array(z.object({ name: z.string(), value: z.string() })),
});

/** What a command has to know of a run to go on with it; every checkpoint holds it. */
export type RunRecord = z.infer<typeof recordSchema>;

interface RecordedRun {
  readonly plan: TrainingPlan;
  readonly flags: Pick<RunFlags, "device" | "threads">;
  readonly folder: string;
  readonly commandLine: string;
}

/** @param images digest of their list. */
export async function recordOf({ plan, flags, folder, commandLine }: RecordedRun, images: string): Promise<RunRecord> {
  const { settings, sources, start, loaded } = plan;
  const { device, threads } = flags;
  return {
    folder,
    workingFolder: process.cwd(),
    device: device ?? null,
    threads: threads ?? null,
    settings: { ...settings } as unknown as RunRecord["settings"],
    sources: [...sources],
    preprocessing: (loaded?.preprocessing ?? null) as RunRecord["preprocessing"],
    start: start ? ({ ...start, anew: [...start.anew] } as NonNullable<RunRecord["start"]>) : null,
    commandLine,
    images,
    machine: await machineFacts(),
  };
}

/** @throws {FormatError} it is no record of a run. */
export function readRecord(value: unknown, where: string): RunRecord {
  return checkDocument(recordSchema, value, where);
}

/** The settings of a run as they were resolved when it began; those that its version had not yet do nothing. */
export function recordedSettings({ settings, sources }: RunRecord): ResolvedSettings {
  return {
    settings: { ...resolveSettings([]).settings, ...settings } as unknown as Settings,
    sources: new Map(sources) as unknown as ReadonlyMap<SettingName, string>,
  };
}
