import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { arch, cpus, platform, totalmem } from "node:os";
import { setTimeout as pause } from "node:timers/promises";

/** A row of a result's table, as the README prints it. */
export type Row = Readonly<Record<string, string | number>>;

/** The middle value; of an even number of values the lower one of the two. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)]!;
}

/** How long `run` takes, in milliseconds. */
export async function timeMs(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/**
 * Runs the alternatives in turn, A B C A B C …, so that a machine that speeds up or slows down does so for all of them.
 * @returns the times of each, in milliseconds, in the order of the rounds.
 */
export async function interleave(
  alternatives: Readonly<Record<string, () => Promise<unknown>>>,
  rounds: number,
  warmUp = 2,
): Promise<Readonly<Record<string, readonly number[]>>> {
  const times: Record<string, number[]> = Object.fromEntries(Object.keys(alternatives).map((name) => [name, []]));
  for (let round = -warmUp; round < rounds; round++) {
    for (const [name, run] of Object.entries(alternatives)) {
      // Threads of some engines go on spinning for a while after a run, and would take the next one's cores.
      await pause(100);
      const elapsedMs = await timeMs(run);
      if (round >= 0) times[name]!.push(elapsedMs);
    }
  }
  return times;
}

/** Largest memory of this process so far, in GiB. */
export function peakMemoryGib(): number {
  return process.resourceUsage().maxRSS / 2 ** 20;
}

/** Writes `bench/results/<name>.json` with the facts of the machine, and prints the rows. */
export function writeResult(name: string, result: { readonly rows: readonly Row[] } & Record<string, unknown>): void {
  const folder = new URL("./results/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  const content = { name, date: new Date().toISOString().slice(0, 10), machine: machineFacts(), ...result };
  writeFileSync(new URL(`${name}.json`, folder), `${JSON.stringify(content, null, 2)}\n`);
  console.table(result.rows);
}

export function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

function machineFacts() {
  const manifest = new URL("../node_modules/onnxruntime-node/package.json", import.meta.url);
  return {
    CPU: cpus()[0]?.model.trim(),
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${arch()}`,
    node: process.version,
    onnxruntime: JSON.parse(readFileSync(manifest, "utf8")).version as string,
  };
}
