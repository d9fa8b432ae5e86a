import { readFile } from "node:fs/promises";
import { availableParallelism, hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { RuntimeUnavailableError, UsageError } from "../../../src/base/errors.ts";
import type { Communicator } from "../../../src/base/platform.ts";
import { alone, gatherRanks } from "../../../src/train/ranks/ranks.ts";
import { type CliIo, describeFailure, exitCodeOf } from "../io.ts";

/** Flags of ranks and threads. */
export interface RankFlags {
  readonly mpi?: boolean;
  readonly threads?: number;
}

/** The processes that train together, and their resources. */
export interface Ranks {
  readonly communicator: Communicator;
  /** Threads of the engine in this process; undefined: one per core. */
  readonly threads: number | undefined;
  /** Call after the last joint operation: later errors do not stop the other ranks. */
  leave(): void;
}

/** Time for a launcher to forward the last output of a process, in milliseconds. */
const lastWordsMs = 300;

/** Head start of rank 0 in reporting an error that all ranks have, in milliseconds. */
const precedenceMs = 1000;

/**
 * Runs work together with the other processes that `mpirun` or `srun` has started, or alone. Only rank 0 writes output; if
 * any of them fails, all end.
 * @throws {RuntimeUnavailableError} there is no MPI, or it is not that of the launcher.
 * @throws {UsageError} `--mpi` requires other processes, and there are none.
 * @throws the errors of the work if done alone, or after it has left the other ranks.
 */
export async function withRanks(
  flags: RankFlags,
  environment: Readonly<Record<string, string | undefined>>,
  io: CliIo,
  work: (ranks: Ranks, io: CliIo) => Promise<void>,
): Promise<void> {
  const { isMpiProcess, joinMpi, launchedSize } = await import("../../../src/runtime/node/mpi.ts");
  if (!(flags.mpi ?? isMpiProcess(environment))) {
    return work({ communicator: alone, threads: flags.threads, leave: () => {} }, io);
  }
  const communicator = await joinMpi({ library: environment.XCEPTION_MPI_LIBRARY });
  const { rank, size } = communicator;
  assertLauncher(size, launchedSize(environment));
  if (size === 1 && flags.mpi) {
    communicator.dispose();
    throw new UsageError({
      where: "option --mpi",
      what: "there are no other processes to train with",
      received: "1 process",
      expected: "at least 2",
      remedy: "Start them with `mpirun -n 2 xception train …`, or leave --mpi out to train alone.",
    });
  }
  const threads = flags.threads ?? (size > 1 ? await coresPerRank(communicator) : undefined);
  let isMember = true;
  const leave = () => {
    if (isMember) communicator.dispose();
    isMember = false;
  };
  try {
    await work({ communicator, threads, leave }, rank === 0 ? io : { ...io, stdout: () => {}, stderr: () => {} });
    leave();
  } catch (error) {
    if (size === 1) leave();
    if (!isMember) throw error;
    const place = rank === 0 ? "" : `rank ${rank} of ${size}: `;
    if (rank > 0) await sleep(precedenceMs);
    io.stderr(`error: ${place}${describeFailure(error, false)}\nAll ${size} processes stop.\n`);
    await sleep(lastWordsMs);
    communicator.abort(exitCodeOf(error));
  }
}

/** @throws {RuntimeUnavailableError} the launcher started several processes, of which the library sees one. */
function assertLauncher(size: number, launched: number): void {
  if (size >= launched) return;
  throw new RuntimeUnavailableError({
    where: "MPI",
    what: "the library does not see the other processes: it is not that of the launcher",
    received: size,
    expected: `${launched} processes`,
    remedy:
      "Start them with the library's own mpirun, under Slurm with `srun --mpi=pmi2`, or name its library in XCEPTION_MPI_LIBRARY.",
  });
}

/** Cores of this process, divided among the ranks that share them. */
async function coresPerRank(communicator: Communicator): Promise<number> {
  const own = `${hostname()} ${await allowedCores()}`;
  const sharing = gatherRanks(communicator, own).filter((place) => place === own).length;
  return Math.max(1, Math.floor(availableParallelism() / sharing));
}

/** On Linux: the cores that this process is bound to. */
async function allowedCores(): Promise<string> {
  const status = await readFile("/proc/self/status", "utf8").catch(() => "");
  return /^Cpus_allowed_list:\s*(.*)$/m.exec(status)?.[1] ?? "";
}
