/**
 * What do ImageNet weights bring, and how long does fine-tuning take, against training from scratch? Both by the command
 * line, in this process, one after the other. `npx tsx bench/fine-tuning.ts TRAINING VALIDATION WEIGHTS`: two folders of
 * photos and a file of weights.
 */

import { mkdtemp, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../apps/cli/program.ts";
import type { EpochRecord } from "../src/base/records.ts";
import { peakMemoryGib, rounded, writeResult } from "./measurement.ts";

const [training, validation, weights] = process.argv.slice(2);
if (training === undefined || validation === undefined || weights === undefined) {
  throw new Error("usage: npx tsx bench/fine-tuning.ts TRAINING VALIDATION WEIGHTS");
}
const work = await mkdtemp(join(tmpdir(), "xception-bench-"));
const trainings = {
  "from scratch": ["--image-size", "96", "--width", "0.25", "--epochs", "10"],
  "fine-tuned": ["--recipe", "finetune", "--weights", weights],
  "fine-tuned, two views": ["--recipe", "finetune", "--weights", weights, "--cached-views", "2"],
};

const results = [];
for (const [name, flags] of Object.entries(trainings)) {
  const [start, cpu, [load]] = [performance.now(), process.cpuUsage(), loadavg()];
  let stdout = "";
  const output = join(work, name.replace(" ", "-"));
  // Features are computed, not taken from an earlier run.
  const folders = ["-o", output, "--cache-dir", join(work, "cache", name)];
  const exitCode = await run(["train", training, "--val", validation, ...flags, ...folders, "--json"], {
    stdin: async () => new Uint8Array(),
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      process.stderr.write(text);
    },
    isTTY: false,
    signal: new AbortController().signal,
  });
  if (exitCode !== 0) throw new Error(`the training "${name}" failed`);
  const { user, system } = process.cpuUsage(cpu);
  const { history } = JSON.parse(stdout) as { history: EpochRecord[] };
  results.push({
    name,
    flags: flags.filter((word) => !word.includes("/")).join(" "),
    minutes: rounded((performance.now() - start) / 60_000, 1),
    processorMinutes: rounded((user + system) / 60e6, 1),
    loadAtStart: rounded(load!, 1),
    loadAtEnd: rounded(loadavg()[0]!, 1),
    validationAccuracy: history.map(({ validationAccuracy }) => rounded(validationAccuracy!, 4)),
    secondsOfEpochs: history.map(({ seconds }) => rounded(seconds, 1)),
  });
}
await rm(work, { recursive: true });

const percent = (accuracy: number) => `${(100 * accuracy).toFixed(1)} %`;
writeResult("fine-tuning", {
  question: "What do ImageNet weights bring, and how long does fine-tuning take, against training from scratch?",
  peakMemoryGib: rounded(peakMemoryGib(), 1),
  results,
  rows: results.map(({ name, minutes, processorMinutes, validationAccuracy }) => ({
    training: name,
    minutes,
    "minutes of CPUs": processorMinutes,
    "validation accuracy, last epoch": percent(validationAccuracy.at(-1)!),
    "best epoch": percent(Math.max(...validationAccuracy)),
  })),
});
