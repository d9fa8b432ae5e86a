import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { AbortedError } from "../../../src/base/errors.ts";
import { number, string } from "../../../src/base/kinds.ts";
import { object, record } from "../../../src/base/schema.ts";
import { writeFileAtomic } from "../../../src/runtime/node/files.ts";
import { nodePlatform } from "../../../src/runtime/node/platform.ts";
import { alone } from "../../../src/train/ranks/ranks.ts";
import { runTraining } from "../../../src/train/train.ts";
import type { CliIo } from "../io.ts";
import type { RunFlags } from "../train/flags.ts";
import { startRun } from "../train/run.ts";
import { type ComparisonRequest, readOwnFile } from "./comparison.ts";
import type { NetworkSpec } from "./networks.ts";

/** File of the measured speeds: a resumed comparison must not measure them again. */
const speedsFile = "speeds.json";
const speedsSchema = object({ command: string, speeds: record(number({ above: 0 })) });

/** Steps that warm up the engine, and steps that are timed. */
const warmUpSteps = 3;
const timedSteps = 8;

/**
 * Chooses the epochs of each network after the first so that training takes as long as that of the first, by its images per
 * second. Speeds that the same command has measured are kept.
 * @throws as `startRun`.
 */
export async function measureEpochs(
  specs: readonly NetworkSpec[],
  { data, output, command }: Pick<ComparisonRequest, "data" | "output" | "command">,
  flags: Pick<RunFlags, "device" | "threads">,
  io: CliIo,
): Promise<readonly NetworkSpec[]> {
  const path = join(output, speedsFile);
  const known = await readOwnFile(path, speedsSchema);
  const speeds = known?.command === command ? known.speeds : await measureSpeeds(specs, data, output, flags, io);
  await mkdir(output, { recursive: true });
  await writeFileAtomic(path, `${JSON.stringify({ command, speeds }, undefined, 2)}\n`);
  const [first, ...others] = specs as readonly [NetworkSpec, ...NetworkSpec[]];
  const { epochs } = first.resolved.settings;
  return [
    first,
    ...others.map(({ name, resolved: { settings, sources } }) => {
      const own = Math.max(1, Math.round((epochs * speeds[name]!) / speeds[first.name]!));
      const resolved = {
        settings: { ...settings, epochs: own },
        sources: new Map(sources).set("epochs", "--match seconds"),
      };
      return { name, resolved };
    }),
  ];
}

/** Images per second in training, by network. */
async function measureSpeeds(
  specs: readonly NetworkSpec[],
  data: string,
  output: string,
  flags: Pick<RunFlags, "device" | "threads">,
  io: CliIo,
): Promise<Readonly<Record<string, number>>> {
  const speeds: Record<string, number> = {};
  const ranks = { communicator: alone, threads: flags.threads, leave: () => {} };
  for (const { name, resolved } of specs) {
    io.stderr(`measuring the speed of ${name}\n`);
    const { plan } = await startRun(data, { ...flags, output, ranks }, resolved, nodePlatform);
    const enough = new AbortController();
    let start = 0;
    const { validation } = plan;
    await runTraining(
      { ...plan, settings: { ...plan.settings, epochs: warmUpSteps + timedSteps }, validation: undefined },
      {
        signal: AbortSignal.any([io.signal, enough.signal]),
        onProgress: ({ totalSteps }) => {
          if (totalSteps === warmUpSteps) start = performance.now();
          if (totalSteps !== warmUpSteps + timedSteps) return;
          speeds[name] = (timedSteps * plan.batchSize) / ((performance.now() - start) / 1000);
          enough.abort();
        },
      },
    );
    await validation?.preparation.dispose();
    if (io.signal.aborted) {
      throw new AbortedError({ where: "compare", what: "it was stopped before its first run; nothing was written" });
    }
  }
  return speeds;
}
