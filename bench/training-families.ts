/**
 * How long does a training step of Inception V3 take, against one of Xception? Interleaved in one process.
 * `npx tsx bench/training-families.ts [batch] [size] [rounds]`, by default 8 images of 299×299 and 9 rounds.
 */
import { inceptionV3, xception } from "../src/index.ts";
import { interleave, median, rounded, writeResult } from "./measurement.ts";
import { trainingCase } from "./training-case.ts";

const [batchSize = 8, size = 299, rounds = 9] = process.argv.slice(2).map(Number);
const [one, other] = [trainingCase(batchSize, size, xception), trainingCase(batchSize, size, inceptionV3)];
const steps = { Xception: await one.create(), "Inception V3": await other.create() };
const ways = Object.fromEntries(Object.entries(steps).map(([name, step]) => [name, () => step.run(one.input)]));
const times = await interleave(ways, rounds);
await Promise.all(Object.values(steps).map((step) => step.dispose()));
const ratioTo = (all: readonly number[]) => median(times.Xception!.map((ms, round) => ms / all[round]!));
writeResult(size === 299 && batchSize === 8 ? "training-families" : `training-families-${size}-${batchSize}`, {
  question: "How long does a training step of Inception V3 take, against one of Xception?",
  batchSize,
  size,
  rows: Object.entries(times).map(([name, all]) => ({
    network: name,
    "ms per step": rounded(median(all), 0),
    "steps, Xception = 1": rounded(ratioTo(all), 2),
  })),
});
