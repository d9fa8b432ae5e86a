/**
 * How long does a training step take against PyTorch's on the same cores? In turn, step by step, against PyTorch's better
 * layout of the two.
 * `npx tsx bench/training-against-pytorch.ts [python] [batch] [size]`, by default `python3` and 8 pictures of 299×299.
 */
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { interleave, median, rounded, writeResult } from "./measurement.ts";
import { trainingCase } from "./training-case.ts";

const [python = "python3", ...numbers] = process.argv.slice(2);
const [batchSize = 8, size = 299] = numbers.map(Number);
const script = fileURLToPath(new URL("./pytorch/xception.py", import.meta.url));
const peer = spawn(python, [script, ...[size, batchSize, availableParallelism()].map(String)], {
  stdio: ["pipe", "pipe", "inherit"],
});
const lines = createInterface({ input: peer.stdout })[Symbol.asyncIterator]();
async function nextLine(): Promise<string> {
  const { value, done } = await lines.next();
  if (done) throw new Error("PyTorch's process has ended; its words are above.");
  return value;
}
const about: { readonly version: string; readonly oneDNN: boolean; readonly parameters: number } = JSON.parse(
  await nextLine(),
);

const { input, create } = trainingCase(batchSize, size);
const step = await create();
const torchStep = async (layout: string): Promise<void> => {
  peer.stdin.write(`${layout}\n`);
  await nextLine();
};
const times = await interleave(
  {
    ours: () => step.run(input),
    default: () => torchStep("default"),
    channels_last: () => torchStep("channels_last"),
  },
  7,
);
peer.stdin.end();
await step.dispose();

const rows = Object.entries(times).map(([name, all]) => ({
  "a training step": name === "ours" ? "xception-ts" : `PyTorch ${about.version}, memory format ${name}`,
  ms: rounded(median(all), 0),
  "ms per picture": rounded(median(all) / batchSize, 0),
  "× ours": rounded(median(all.map((ms, round) => ms / times.ours![round]!)), 2),
}));
const timesFaster = Math.min(...rows.slice(1).map((row) => row["× ours"]));
writeResult(size === 299 && batchSize === 8 ? "pytorch" : `pytorch-${size}-${batchSize}`, {
  question: "How long does a training step take against PyTorch's on the same cores?",
  batchSize,
  size,
  pytorch: about,
  timesFaster,
  rows,
});
