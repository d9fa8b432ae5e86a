/**
 * Kills real trainings at random moments and looks whether their results are those of one that was never interrupted:
 * `npm run crash`, or `npm run crash -- 100 7` for a hundred kills at the moments of seed 7.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mulberry32 } from "../../src/tensor/random.ts";
import { smallTraining, writeImages } from "../cli/train-fixtures.ts";
import { comparable, killAndGoOn, runProcess } from "./interrupted-run.ts";

const [kills = 20, seed = 1] = process.argv.slice(2).map(Number);
const killsInRun = 5;

const work = await mkdtemp(join(tmpdir(), "xception-crash-"));
const whole = (name: string) => join(work, `whole-${name}`);
const recipes = {
  adamw: ["--epochs", "20", "--dropout", "0.3", "--mixup", "0.2", "--average", "ema"],
  sgd: ["--epochs", "20", "--optimizer", "sgd", "--schedule", "plateau", "--accumulate", "2", "--clip-norm", "1"],
  // The first phase, whose features are in a cache, and the second one.
  finetune: [
    ...["--epochs", "60", "--recipe", "finetune", "--weights", join(whole("adamw"), "model.onnx")],
    ...["--head-views", "2", "--cache-dir", join(work, "cache"), "--unfreeze-from", "block5"],
  ],
};

try {
  const photos = join(work, "photos");
  await writeImages(photos, 20, 1);
  const random = mulberry32(seed);
  let done = 0;
  for (let run = 0; done < kills; run++) {
    const [name, flags] = Object.entries(recipes)[run % Object.keys(recipes).length]!;
    const command = (output: string) => ["train", photos, "-o", output, ...smallTraining, ...flags];
    const began = Date.now();
    if (run < Object.keys(recipes).length) {
      const { exitCode, stderr } = await runProcess(command(whole(name)));
      if (exitCode !== 0) throw new Error(`the run that nobody interrupts failed:\n${stderr}`);
    }
    const expected = await comparable(whole(name));
    const output = join(work, `run-${run}`);
    const words = [...command(output), "--checkpoint-steps", "1"];
    const result = await killAndGoOn(words, output, {
      kills: Math.min(killsInRun, kills - done),
      longestMs: 5000,
      random,
    });
    const last = result.processes.at(-1)!;
    if (last.exitCode !== 0) throw new Error(`it did not come to its end:\n${last.stderr}`);
    const found = await comparable(output);
    const different = Object.keys(expected).filter((part) => found[part] !== expected[part]);
    const places = result.processes.map(({ stderr }) => /Resuming after step (\d+)/.exec(stderr)?.[1] ?? "0");
    done += result.kills;
    const verdict = different.length === 0 ? "the same, byte for byte" : `DIFFERENT: ${different.join(", ")}`;
    const seconds = ((Date.now() - began) / 1000).toFixed(0);
    console.log(`${name}: ${result.kills} kills, began at steps ${places.join(", ")}: ${verdict} (${seconds} s)`);
    if (different.length > 0) process.exitCode = 1;
    if (result.kills === 0) break;
  }
  console.log(`${done} kills with SIGKILL, seed ${seed}`);
} finally {
  await rm(work, { recursive: true });
}
