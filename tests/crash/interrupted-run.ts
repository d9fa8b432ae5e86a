import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { builtProgram } from "../../scripts/build.mjs";
import { root } from "../../scripts/project-root.mjs";
import type { Random } from "../../src/tensor/random.ts";

/** How a process of the command line ended. */
export interface Ended {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs `xception` as a process of its own.
 * @param onStarted called once, when the training is about to begin or to go on, or `when` this appears on standard error.
 */
export async function runProcess(
  words: readonly string[],
  onStarted: (child: ChildProcess) => void = () => {},
  when = /^(Training|Resuming)/m,
): Promise<Ended> {
  const child = spawn(process.execPath, [builtProgram(root), ...words]);
  let stdout = "";
  let stderr = "";
  let hasStarted = false;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    if (hasStarted || !when.test(stderr)) return;
    hasStarted = true;
    onStarted(child);
  });
  const [exitCode, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return { exitCode, signal, stdout, stderr };
}

/** A run that was killed again and again until it had come to its end. */
export interface KilledRun {
  readonly kills: number;
  /** What each process had said when it ended. */
  readonly processes: readonly Ended[];
}

/**
 * Trains, kills the process with SIGKILL at a random moment of its training, and goes on in the same way.
 * @param words of the command that begins the run. @param longestMs latest moment of a kill after the start.
 * @param kills how often at most; then it is let finish.
 */
export async function killAndGoOn(
  words: readonly string[],
  output: string,
  options: { readonly kills: number; readonly longestMs: number; readonly random: Random },
): Promise<KilledRun> {
  const processes: Ended[] = [];
  let kills = 0;
  for (;;) {
    const hasCheckpoint = (await checkpoints(output)).length > 0;
    const again = hasCheckpoint
      ? ["train", "--resume", "-o", output, "--checkpoint-steps", "1"]
      : [...words, "--overwrite"];
    const ended = await runProcess(again, (child) => {
      if (kills < options.kills) setTimeout(() => child.kill("SIGKILL"), options.longestMs * options.random());
    });
    processes.push(ended);
    if (ended.signal !== "SIGKILL") return { kills, processes };
    kills++;
  }
}

async function checkpoints(output: string): Promise<readonly string[]> {
  const names = await readdir(join(output, "checkpoints")).catch(() => []);
  return names.filter((name) => name.startsWith("step-"));
}

/** What two runs of the same training must have in common: files as they are, and the history without its times. */
export async function comparable(output: string): Promise<Readonly<Record<string, string>>> {
  const read = (name: string, encoding: BufferEncoding) => readFile(join(output, name), encoding);
  const history = await read("history.csv", "utf8");
  return {
    model: await read("model.onnx", "base64"),
    evaluation: await read("evaluation.json", "utf8"),
    settings: await read("settings.yaml", "utf8"),
    history: history.replaceAll(/(,[^,]*){2}\r\n/g, "\n"),
  };
}
