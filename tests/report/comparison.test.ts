import { expect, test } from "vitest";
import type { EpochRecord } from "../../src/base/records.ts";
import {
  type ComparedNetwork,
  type Comparison,
  comparePair,
  comparisonCsv,
  comparisonDocument,
  describeComparison,
} from "../../src/report/comparison.ts";
import { toHtml } from "../../src/report/html.ts";

/** 100 test images, of which the first `right` are classified correctly. */
function runOf(seed: number, right: number, imagesPerSecond: number): ComparedNetwork["runs"][number] {
  const record = (epoch: number): EpochRecord => ({
    ...{ epoch, loss: 1, accuracy: 0.5, validationLoss: 0.7, validationAccuracy: (right - 2 + epoch) / 100 },
    ...{ learningRate: 0.1, imagesPerSecond, seconds: 60 },
  });
  const correct = Array.from({ length: 100 }, (_, index) => index < right);
  const history = [record(1), record(2)];
  return { seed, folder: `f${seed}`, history, steps: 20, images: 100, top1: right / 100, top5: 1, loss: 0.7, correct };
}

function networkOf(name: string, rights: readonly number[], imagesPerSecond = 50): ComparedNetwork {
  const sizes = { parameters: 1000, multiplications: 2e6, activations: 3000, trainingBytes: 2 ** 20 };
  const runs = rights.map((right, seed) => runOf(seed, right, imagesPerSecond));
  return { name, ...sizes, epochs: 2, batchSize: 16, latencyMs: 12.34, runs };
}

const networks = [networkOf("xception", [80, 82, 84]), networkOf("inception-v3 --width 0.5", [70, 71, 72], 100)];
const comparison: Comparison = {
  match: "epochs",
  networks,
  setup: [{ name: "Image size", value: "75×75" }],
  command: "xception compare xception 'inception-v3 --width 0.5' --data photos",
  claims: [
    { text: "accurate", better: "xception", worse: "inception-v3 --width 0.5", measure: "accuracy" },
    { text: "fast", better: "xception", worse: "inception-v3 --width 0.5", measure: "speed" },
    { text: "others", better: "xception", worse: "xception --no-residual", measure: "accuracy" },
  ],
};

test("a pair is compared seed by seed", () => {
  const { difference, interval, tests, isSignificant } = comparePair(networks[0]!, networks[1]!);
  // Differences of 10, 11 and 12 points: 11 ± 4.303 · 1 / √3.
  expect(difference).toBeCloseTo(0.11, 12);
  expect(interval!.low).toBeCloseTo(0.11 - (0.01 * 4.303) / Math.sqrt(3), 6);
  // Ten images only the first gets right: 2 / 2¹⁰.
  expect(tests[0]).toEqual({ seed: 0, onlyFirst: 10, onlySecond: 0, pValue: expect.closeTo(2 / 1024, 12) });
  expect(isSignificant).toBe(true);
});

test("one seed is judged by McNemar's test, and a difference within chance is called so", () => {
  expect(comparePair(networkOf("a", [80]), networkOf("b", [70])).isSignificant).toBe(true);
  expect(comparePair(networkOf("a", [80]), networkOf("b", [78]))).toMatchObject({
    interval: undefined,
    isSignificant: false,
    tests: [{ pValue: 0.5 }],
  });
  expect(comparePair(networkOf("a", [80, 70]), networkOf("b", [70, 80])).isSignificant).toBe(false);
  // Two seeds that differ by one image each: an interval of no width, but p = 1.
  expect(comparePair(networkOf("a", [80, 70]), networkOf("b", [79, 69]))).toMatchObject({
    interval: { low: expect.closeTo(0.01, 9) },
    isSignificant: false,
  });
});

test("networks of the same accuracy are named together", () => {
  const tied = [networkOf("a", [80, 82]), networkOf("b", [82, 80]), networkOf("c", [70, 72])];
  expect(describeComparison({ ...comparison, networks: tied }, { width: 110 })).toContain(
    "Most accurate: a and b, 81.0 %",
  );
});

test("the text names the best network, the sizes, the differences and the paper's findings", () => {
  const text = describeComparison(comparison, { width: 110 });
  // t(2) · 2 / √3 = 4.97 points around 82 %.
  expect(text).toContain("Most accurate: xception, 82.0 % (77.0–87.0)");
  expect(text).toContain("Training: 12 min, 3 seeds each");
  // 16 images in a step at 50 and 100 images per second.
  expect(text).toMatch(/│ xception +│ +2 │ +320 │ +12\.3 │ +0\.7 │ 82\.0 % \(77\.0–87\.0\) │/);
  expect(text).toMatch(/│ inception-v3 --width 0\.5 │ +2 │ +160 │/);
  expect(text).toMatch(/│ xception +│ +1,000 │ +2 M │ +4 M │ +3 k │ +1\.00 MB │/);
  expect(text).toMatch(/xception – inception-v3 --width │ \+11\.0 \(\+8\.5 to \+13\.5\) │ 10, 11, 12 │ +0, 0, 0 │/);
  expect(text).toMatch(/accurate +│ xception: \+11\.0 \(\+8\.5 to \+13\.5\) points against inception-v3.*│ shown/);
  expect(text).toMatch(/fast +│ 50 against 100 images\/s in training +│ not shown: the opposite/);
  expect(text).toMatch(/others +│ not trained yet +│ open/);
  expect(text).not.toContain("VGG-16");
});

test("long steps are in milliseconds, and short training in seconds", () => {
  const slow = networkOf("slow", [80], 2.5921);
  const quick = {
    ...slow,
    runs: slow.runs.map((run) => ({ ...run, history: [{ ...run.history[0]!, seconds: 4.2 }] })),
  };
  const text = describeComparison({ ...comparison, networks: [{ ...quick, latencyMs: 1234.5 }] }, { width: 110 });
  // 1000 · 16 / 2.5921 = 6172.6.
  expect(text).toMatch(/│ slow +│ +2 │ +6,170 │ +1,230 │/);
  expect(text).toContain("Training: 4.2 s, 1 seed each");
});

test("the page has the curves, the paper's tables and both conditions", async () => {
  const page = await toHtml(comparisonDocument(comparison));
  expect(page.match(/<svg/g)).toHaveLength(3);
  expect(page).toContain("VGG-16");
  expect(page).toMatch(/Image size<\/t[hd]><td[^>]*>299×299<\/td><td[^>]*>75×75/);
  expect(page).toContain("&#39;inception-v3 --width 0.5&#39;");
});

test("a comparison that has just started has no best network yet", () => {
  const started = { ...comparison, networks: networks.map((network) => ({ ...network, runs: [] })) };
  expect(comparisonDocument(started).headlines).toEqual([]);
});

test("the table has a line for each network and seed, MACs and FLOPs apart", () => {
  const [header, first, ...others] = comparisonCsv(comparison).trim().split(/\r?\n/);
  expect(header).toBe(
    "network,seed,parameters,macs,flops,activations,epochs,steps,seconds,images_per_second,test_images,test_accuracy,test_top5,test_loss",
  );
  expect(first).toBe("xception,0,1000,2000000,4000000,3000,2,20,120,50,100,0.8,1,0.7");
  expect(others).toHaveLength(5);
});
