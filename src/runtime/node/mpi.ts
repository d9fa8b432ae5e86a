import type { LibraryHandle } from "koffi";
import { messageOf, RuntimeUnavailableError } from "../../base/errors.ts";
import type { Communicator } from "../../base/platform.ts";

// Handles of the MPICH ABI, which MPICH, Intel MPI, Cray MPT and MVAPICH share (mpich.org/abi); see mpi.h.
const commWorld = 0x44000000;
const datatype = { byte: 0x4c00010d, float: 0x4c00040a } as const;
const operationSum = 0x58000003;
const errorsReturn = 0x54000001;
/** MPI_IN_PLACE, as a pointer. */
const inPlace = -1;
const threadFunneled = 1;
/**
 * Numbers in one message of a sum, 16 MiB. MPI copies each message, and copies that fit the CPU's cache halve the time
 * between processes of one machine (`bench/exchange.ts`). Smaller messages would pay for the network's latency more often.
 */
export const bucketLength = 2 ** 22;
const longestErrorText = 512;
const longestVersionText = 8192;

/** File names of MPICH ABI libraries; the number is the ABI version. */
const libraryNames = ["libmpi.so.12", "libmpich.so.12", "libmpi.12.dylib"] as const;

/** Options of {@link joinMpi}. */
export interface MpiOptions {
  /** Numbers in one message of a sum; default 4,194,304, which are 16 MiB. The same on all ranks. */
  readonly bucket?: number | undefined;
  /** Path or name of the library; default: the first of `libmpi.so.12` and `libmpich.so.12` that loads. */
  readonly library?: string | undefined;
}

/**
 * Joins the other processes that `mpirun` or `srun` has started; alone, there is one rank. Its calls block the thread.
 * @throws {RuntimeUnavailableError} there is no MPI library with the MPICH ABI, or it fails to start.
 */
export async function joinMpi({ library, bucket = bucketLength }: MpiOptions = {}): Promise<Communicator> {
  const bindings = bind(await loadLibrary(library === undefined ? libraryNames : [library]));
  const check = checker(bindings);
  check("MPI_Init_thread", bindings.initialize(null, null, threadFunneled, [0]));
  // Otherwise a failing call would end the process without our error message.
  check("MPI_Comm_set_errhandler", bindings.setErrorHandler(commWorld, errorsReturn));
  return {
    rank: read((out) => check("MPI_Comm_rank", bindings.rank(commWorld, out))),
    size: read((out) => check("MPI_Comm_size", bindings.size(commWorld, out))),
    sum: (values) => {
      for (let start = 0; start < values.length; start += bucket) {
        const part = values.subarray(start, start + bucket);
        check("MPI_Allreduce", bindings.allReduce(inPlace, part, part.length, datatype.float, operationSum, commWorld));
      }
    },
    broadcast: (bytes) => check("MPI_Bcast", bindings.broadcast(bytes, bytes.length, datatype.byte, 0, commWorld)),
    abort: (exitCode) => bindings.abort(commWorld, exitCode),
    dispose: () => check("MPI_Finalize", bindings.finalize()),
  };
}

/** Returns whether a launcher started this process as one of several. */
export function isMpiProcess(environment: Readonly<Record<string, string | undefined>>): boolean {
  return launchedSize(environment) > 1 || environment.PMIX_RANK !== undefined;
}

/** Number of processes started by the launcher, if it reports it; else 1. */
export function launchedSize(environment: Readonly<Record<string, string | undefined>>): number {
  const { PMI_SIZE, OMPI_COMM_WORLD_SIZE, SLURM_STEP_NUM_TASKS } = environment;
  return Number(PMI_SIZE ?? OMPI_COMM_WORLD_SIZE ?? SLURM_STEP_NUM_TASKS ?? 1);
}

/** Rank given to this process by the launcher, from 0; 0 without a launcher. */
export function launchedRank(environment: Readonly<Record<string, string | undefined>>): number {
  const { PMI_RANK, PMIX_RANK, SLURM_PROCID } = environment;
  return Number(PMI_RANK ?? PMIX_RANK ?? SLURM_PROCID ?? 0);
}

async function loadLibrary(names: readonly string[]): Promise<LibraryHandle> {
  // MPICH may use UCX, which corrupts the heap of a program with threads when it tests its allocator hooks, and which keeps
  // crashed processes alive.
  process.env.UCX_MEM_MMAP_HOOK_MODE ??= "none";
  process.env.UCX_ERROR_SIGNALS ??= "";
  const { default: koffi } = await import("koffi");
  const reasons: string[] = [];
  for (const name of names) {
    try {
      return koffi.load(name);
    } catch (cause) {
      reasons.push(`${name}: ${messageOf(cause)}`);
    }
  }
  throw unavailable(`its library cannot be loaded: ${reasons.join("; ")}`);
}

function bind(library: LibraryHandle) {
  const text = textOf(longestVersionText, versionFunction(library));
  // Open MPI's handles are addresses, not these numbers: it would crash.
  if (/open mpi/i.test(text)) throw unavailable(`its library has another ABI: ${text.split("\n")[0]}`);
  return {
    initialize: library.func("int MPI_Init_thread(void *argc, void *argv, int required, _Out_ int *provided)"),
    setErrorHandler: library.func("int MPI_Comm_set_errhandler(int comm, int handler)"),
    rank: library.func("int MPI_Comm_rank(int comm, _Out_ int *rank)"),
    size: library.func("int MPI_Comm_size(int comm, _Out_ int *size)"),
    allReduce: library.func(
      "int MPI_Allreduce(intptr_t send, void *receive, int count, int type, int operation, int comm)",
    ),
    broadcast: library.func("int MPI_Bcast(void *buffer, int count, int type, int root, int comm)"),
    abort: library.func("int MPI_Abort(int comm, int code)"),
    finalize: library.func("int MPI_Finalize()"),
    errorText: library.func("int MPI_Error_string(int code, void *text, _Out_ int *length)"),
  };
}

function versionFunction(library: LibraryHandle) {
  try {
    return library.func("int MPI_Get_library_version(void *text, _Out_ int *length)");
  } catch (cause) {
    throw unavailable(`its library is not an MPI library: ${messageOf(cause)}`);
  }
}

function checker({ errorText }: ReturnType<typeof bind>): (name: string, code: number) => void {
  return (name, code) => {
    if (code === 0) return;
    const text = textOf(longestErrorText, (buffer, length) => errorText(code, buffer, length));
    throw new RuntimeUnavailableError({
      where: "MPI",
      what: `${name} failed: ${text.replaceAll("\n", " ")}`,
      remedy: "Another rank or the network may have failed: check the output of the other ranks and of the launcher.",
    });
  };
}

function textOf(longest: number, fill: (buffer: Uint8Array, length: number[]) => void): string {
  const buffer = new Uint8Array(longest);
  const length = read((out) => fill(buffer, out));
  return new TextDecoder().decode(buffer.subarray(0, length));
}

function read(call: (out: number[]) => void): number {
  const out = [0];
  call(out);
  return out[0]!;
}

function unavailable(what: string): RuntimeUnavailableError {
  return new RuntimeUnavailableError({
    where: "MPI",
    what,
    expected: "an MPI library with the MPICH ABI: MPICH, Intel MPI, Cray MPT or MVAPICH",
    remedy: "On Debian, `apt-get install mpich`; XCEPTION_MPI_LIBRARY names a library in another place.",
  });
}
