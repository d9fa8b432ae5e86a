/**
 * How large should the messages be in which two processes of one machine sum up their gradients? All of Xception's, 92 MB, in
 * buckets of several sizes, in turn. `npx tsx bench/exchange.ts`; needs `mpirun`.
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { bucketLength, joinMpi } from "../src/runtime/node/mpi.ts";
import { median, type Row, rounded, writeResult } from "./measurement.ts";
import { volumeOfStep } from "./scale-out-model.ts";

const warmUp = 3;
const rounds = 15;
const mebibyte = 2 ** 20 / Float32Array.BYTES_PER_ELEMENT;
const sizes = {
  "all at once": Number.POSITIVE_INFINITY,
  "64 MiB": 64,
  "16 MiB": 16,
  "4 MiB": 4,
  "1 MiB": 1,
  "0.25 MiB": 0.25,
};

if (process.argv[2] === "rank") await measureRank(Number(process.argv[3]));
else compare();

async function measureRank(length: number): Promise<void> {
  const communicator = await joinMpi({ bucket: length });
  const values = new Float32Array(length);
  const times: Record<string, number[]> = Object.fromEntries(Object.keys(sizes).map((name) => [name, []]));
  for (let round = -warmUp; round < rounds; round++) {
    for (const [name, mebibytes] of Object.entries(sizes)) {
      const bucket = Math.min(length, mebibytes * mebibyte);
      // Nobody waits for the other within the time that counts.
      communicator.sum(new Float32Array(1));
      const start = performance.now();
      for (let from = 0; from < length; from += bucket) communicator.sum(values.subarray(from, from + bucket));
      if (round >= 0) times[name]!.push(performance.now() - start);
    }
  }
  const all = times["all at once"]!;
  const rows = Object.entries(times).map(
    ([name, each]): Row => ({
      bucket: name,
      ms: rounded(median(each), 0),
      "÷ all at once": rounded(median(each.map((ms, round) => ms / all[round]!)), 2),
    }),
  );
  if (communicator.rank === 0) process.stdout.write(JSON.stringify(rows));
  communicator.dispose();
}

function compare(): void {
  const { bytes } = volumeOfStep();
  const program = fileURLToPath(import.meta.url);
  const length = bytes / Float32Array.BYTES_PER_ELEMENT;
  const command = ["-n", "2", process.execPath, "--import", "tsx", program, "rank", String(length)];
  writeResult("exchange", {
    question: "How large should the messages be in which processes sum up their gradients?",
    bytes,
    chosenMebibytes: bucketLength / mebibyte,
    rows: JSON.parse(execFileSync("mpirun", command, { encoding: "utf8" })) as Row[],
  });
}
