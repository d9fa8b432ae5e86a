/**
 * How long does a training step take against those of Keras and PyTorch on the same cores? In turn, step by step, in each of
 * their ways to run one. A library that Python does not have is passed over.
 * `npx tsx bench/training-against-peers.ts [python] [batch] [size]`, by default `python3` and 8 images of 299×299.
 */
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { interleave, median, rounded, writeResult } from "./measurement.ts";
import { trainingCase } from "./training-case.ts";

/** Another library in a process of its own. */
interface Peer {
  readonly name: string;
  readonly ways: readonly string[];
  readonly parameters: number;
  readonly step: (way: string) => Promise<void>;
  readonly end: () => void;
}

const [python = "python3", ...numbers] = process.argv.slice(2);
const [batchSize = 8, size = 299] = numbers.map(Number);

async function startPeer(script: string): Promise<Peer | undefined> {
  const path = fileURLToPath(new URL(`./peers/${script}.py`, import.meta.url));
  const peer = spawn(python, [path, ...[size, batchSize, availableParallelism()].map(String)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: peer.stdout })[Symbol.asyncIterator]();
  const { value, done } = await lines.next();
  if (done) {
    console.error(`${script} did not start, its words are above; it is passed over.`);
    return undefined;
  }
  const step = async (way: string): Promise<void> => {
    peer.stdin.write(`${way}\n`);
    if ((await lines.next()).done) throw new Error(`The process of ${script} has ended; its words are above.`);
  };
  return { ...(JSON.parse(value) as Pick<Peer, "name" | "ways" | "parameters">), step, end: () => peer.stdin.end() };
}

const started = await Promise.all(["keras", "pytorch"].map(startPeer));
const peers = started.filter((peer) => peer !== undefined);
const { input, create } = trainingCase(batchSize, size);
const ours = await create();
const theirs = peers.flatMap(({ name, ways, step }) =>
  ways.map((way) => [`${name}, ${way}`, () => step(way)] as const),
);
const times = await interleave({ "xception-ts": () => ours.run(input), ...Object.fromEntries(theirs) }, 7);
for (const { end } of peers) end();
await ours.dispose();

const rows = Object.entries(times).map(([name, all]) => ({
  "a training step": name,
  ms: rounded(median(all), 0),
  "ms per image": rounded(median(all) / batchSize, 0),
  "× ours": rounded(median(all.map((ms, round) => ms / times["xception-ts"]![round]!)), 2),
}));
writeResult(size === 299 && batchSize === 8 ? "peers" : `peers-${size}-${batchSize}`, {
  question: "How long does a training step take against those of Keras and PyTorch on the same cores?",
  batchSize,
  size,
  parameters: peers.map(({ name, parameters }) => ({ name, parameters })),
  rows,
});
