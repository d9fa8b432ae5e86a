import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { builtProgram } from "../../scripts/build.mjs";
import { root } from "../../scripts/project-root.mjs";
import { writeSafetensors } from "../../src/formats/safetensors.ts";
import { syntheticWeights } from "../../src/graph/synthetic.ts";
import { xception } from "../../src/models/xception/paper.ts";
import { decodeReport } from "../../src/report/training-report.ts";
import { comparable } from "../crash/interrupted-run.ts";
import { capture } from "./capture.ts";
import { smallTraining, writeImages } from "./train-fixtures.ts";

const oneRank: readonly [string, ...string[]] = [process.execPath, builtProgram(root)];
const folder = await mkdtemp(join(tmpdir(), "xception-mpi-"));
const photos = join(folder, "photos");
const run = join(folder, "run");
const files = { weights: join(folder, "part.safetensors"), sampleWeights: join(folder, "counts.csv") };
const common = (output: string) => ["train", photos, "-o", output, ...smallTraining, "--epochs", "5"];
/** In two phases, so that all that can be gone on with is. */
const begin = (output: string) => [
  ...[...common(output), "--cache-dir", `${output}-cache`, "--weights", files.weights, "--head-epochs", "400"],
  ...["--sample-weights", files.sampleWeights],
];
const goOn = ["train", "--resume", "-o", run, "--cache-dir", `${run}-cache`];
const readable = (text: string) => text.replaceAll(folder, "WORK");
let hasMpi = true;

interface Ended {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program, and does something to it as soon as a text has appeared. */
async function start(
  [program, ...words]: readonly [string, ...string[]],
  [text, act]: readonly [string, (child: ChildProcess) => unknown] = ["", () => {}],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const child = spawn(program, words, { env: { ...process.env, ...environment } });
  const ended = { stdout: "", stderr: "" };
  let isWaiting = text !== "";
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (chunk: string) => {
      ended[stream] += chunk;
      if (!isWaiting || !ended[stream].includes(text)) return;
      isWaiting = false;
      act(child);
    });
  }
  const [exitCode] = (await once(child, "close")) as [number | null];
  return { ...ended, exitCode };
}

const twoRanks = (words: readonly string[], then?: Parameters<typeof start>[1]) =>
  start(["mpirun", "-n", "2", ...oneRank, ...words, "--threads", "1"], then);

/** Ends rank 1 as the system does when memory runs out. */
async function killRankOne(launcher: ChildProcess): Promise<void> {
  const childrenOf = async (pid: string) =>
    (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).split(" ").filter((child) => child !== "");
  for (const proxy of await childrenOf(String(launcher.pid))) {
    for (const rank of await childrenOf(proxy)) {
      const isRankOne = (await readFile(`/proc/${rank}/environ`, "utf8")).split("\0").includes("PMI_RANK=1");
      if (isRankOne) process.kill(Number(rank), "SIGKILL");
    }
  }
}

beforeAll(async () => {
  hasMpi = await start(["mpirun", "--version"]).then(
    () => true,
    () => false,
  );
  if (!hasMpi) return;
  await writeImages(photos, 14, 1);
  await writeFile(files.sampleWeights, "red/0.png,2\nblue/1.png,0.5\n");
  const network = xception({ inputShape: [71, 71, 3], width: 0.01, middleFlowRepeats: 0, classes: 2 });
  const isPart = ([name]: readonly [string, unknown]) => !name.startsWith("predictions");
  await writeFile(files.weights, writeSafetensors(new Map([...syntheticWeights(network)].filter(isPart))));
});
beforeEach((context) => {
  if (!hasMpi) context.skip("there is no mpirun here: apt-get install mpich");
});
afterAll(() => rm(folder, { recursive: true }));

describe("xception train under mpirun", () => {
  it("is gone on with, bit for bit, after Ctrl-C and after the death of a process", async () => {
    const whole = join(folder, "whole");
    const undisturbed = await twoRanks(begin(whole));
    expect(undisturbed.exitCode, undisturbed.stderr).toBe(0);
    expect(undisturbed.stdout).toMatch(/^The model is that of epoch \d, the best of 5: .*\n$/);
    const told = readable(undisturbed.stderr)
      .replaceAll(/: loss .*/g, "")
      .split("\n");
    expect(told).toEqual([
      "Training xception, 3,522 parameters, on 22 images of 2 classes; validating on 6",
      "On 2 processes, this one with 1 thread",
      "If one of them fails, all end; to resume: mpirun -n 2 xception train --resume -o WORK/whole",
      "Starting from 90 weights of the safetensors; reinitialized: predictions/kernel, predictions/bias",
      "features of the frozen network: 22/22",
      expect.stringMatching(/^Head only, 400 epochs on 22 views$/),
      ...[1, 2, 3, 4, 5].map((epoch) => `epoch ${epoch}/5`),
      expect.stringMatching(/^Wrote .*model\.onnx, .* into WORK\/whole$/),
      "",
    ]);

    const report = decodeReport(await readFile(join(whole, "report.json"), "utf8"), "report.json");
    expect(report.health!.length).toBeGreaterThan(0);
    expect(report.reproduction!.commands[0]).toMatch(/^mpirun -n 2 xception train /);

    const killedEarly = await twoRanks(begin(run), ["features of the frozen network", killRankOne]);
    expect(killedEarly.exitCode).not.toBe(0);
    expect(await readdir(join(run, "checkpoints"))).toEqual(["images.json", "step-00000000.safetensors"]);

    const stopped = await twoRanks(goOn, ["epoch 1/5", (launcher) => launcher.kill("SIGINT")]);
    // Hydra, MPICH's mpirun, ends with 0 after Ctrl-C whatever its processes say.
    expect(stopped.stderr.match(/Stopping; once more to stop at once\./g)).toHaveLength(1);
    expect(readable(stopped.stderr)).toMatch(
      /error: train: it was stopped after step \d+, in epoch \d of 5; .* To resume: mpirun -n 2 xception train --resume -o WORK\/run\n/,
    );
    expect(await readdir(run)).not.toContain("run.lock");

    const killed = await twoRanks([...goOn, "--checkpoint-steps", "1"], ["epoch 3/5", killRankOne]);
    expect(killed.exitCode).not.toBe(0);
    expect(killed.stdout + killed.stderr).toContain("Killed (signal 9)");

    await capture(["report", run]);
    expect(readable(await readFile(join(run, "report.html"), "utf8"))).toContain(
      "To resume: mpirun -n 2 xception train --resume -o WORK/run",
    );

    const other = await capture([...goOn, "--no-mpi"]);
    expect(other.exitCode).toBe(2);
    expect(other.stderr).toContain("Took over the lock of process");
    expect(readable(other.stderr)).toContain(
      "error: option --resume: a run must be resumed by as many processes as started it; received 1; expected 2. To resume: " +
        "mpirun -n 2 xception train --resume -o WORK/run\n",
    );

    const last = await twoRanks(goOn);
    expect(last.exitCode, last.stderr).toBe(0);
    expect(last.stderr).toContain("Resuming after step ");
    expect(await comparable(run)).toEqual(await comparable(whole));
    const over = await twoRanks(goOn);
    expect(over.stderr).toContain("is complete after 5 epochs: there is nothing to resume.");
    expect(over.exitCode, over.stderr).toBe(0);
  });

  it("ends all processes where one of them cannot take part, and says which", async () => {
    const output = join(folder, "none");
    const missing = ["train", join(folder, "missing"), "-o", output, ...smallTraining];
    const { exitCode, stderr } = await start([
      "mpirun",
      ...["-n", "1", ...oneRank, ...common(output), ":", "-n", "1", ...oneRank, ...missing],
    ]);
    expect(exitCode).toBe(1);
    expect(readable(stderr)).toContain(
      'error: rank 1 of 2: folder "WORK/missing": there is no such folder.\nAll 2 processes stop.\n',
    );
    expect(await readdir(folder)).not.toContain("model.onnx");
  });

  it("tells what all of them have to tell once", async () => {
    const { exitCode, stderr } = await twoRanks([...common(join(folder, "unused")), "--batch-size", "12"]);
    expect(exitCode).toBe(1);
    expect(stderr.match(/error: .*/g)).toEqual([
      "error: data set: there are not enough usable images for a batch; received 22; expected at least 24. Add images or use " +
        "smaller batches.",
    ]);
  });

  it("refuses a library that does not see the other processes, and one that is missing", async () => {
    const command = [...oneRank, ...common(join(folder, "unused"))] as const;
    const lonely = await start(command, undefined, { OMPI_COMM_WORLD_SIZE: "2" });
    expect(lonely.exitCode).toBe(1);
    expect(lonely.stderr).toContain(
      "error: MPI: the library does not see the other processes: it is not that of the launcher; received 1; expected 2 processes. " +
        "Start them with the library's own mpirun, under Slurm with `srun --mpi=pmi2`, or name its library in XCEPTION_MPI_LIBRARY.",
    );
    const missing = await start([...command, "--mpi"], undefined, { XCEPTION_MPI_LIBRARY: "libnone.so" });
    expect(missing.exitCode).toBe(1);
    expect(missing.stderr).toContain("error: MPI: its library cannot be loaded:");
  });

  it("refuses --mpi where there is one process alone", async () => {
    const output = join(folder, "lonely");
    const { exitCode, stderr } = await start([...oneRank, ...common(output), "--mpi"]);
    expect(exitCode).toBe(2);
    expect(stderr).toBe(
      'error: option --mpi: there are no other processes to train with; received "1 process"; expected at least 2. Start them ' +
        "with `mpirun -n 2 xception train …`, or leave --mpi out to train alone.\n",
    );
    expect(await readdir(folder)).not.toContain("lonely");
  });
});
