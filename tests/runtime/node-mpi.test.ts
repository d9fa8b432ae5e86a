import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it, type TestContext } from "vitest";
import { isMpiProcess, joinMpi } from "../../src/runtime/node/mpi.ts";

const program = fileURLToPath(new URL("mpi/ranks.ts", import.meta.url));

function mpirun(context: TestContext, ranks: number, task: string) {
  const command = ["-n", String(ranks), process.execPath, "--import", "tsx", program, task];
  const { error, status, stdout, stderr } = spawnSync("mpirun", command, { encoding: "utf8", timeout: 240_000 });
  if (error && "code" in error && error.code === "ENOENT")
    context.skip("there is no mpirun here: apt-get install mpich");
  const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
  const results = lines.map((line) => JSON.parse(line) as { rank: number });
  return { status, stderr, results: results.sort((a, b) => a.rank - b.rank) };
}

describe("MPI", () => {
  it("sums over three ranks, in place, and hands round the bytes of rank 0", (context) => {
    const { status, results } = mpirun(context, 3, "small");
    const values = [3, 30, Math.fround(Math.fround(0.1 + Math.fround(0.1)) + Math.fround(0.1))];
    const expected = { size: 3, started: true, values: values.map(Math.fround), bytes: [5, 0] };
    expect(results).toEqual([0, 1, 2].map((rank) => ({ rank, ...expected })));
    expect(status).toBe(0);
  });

  it("sums five million numbers, more than a message holds", (context) => {
    const { results } = mpirun(context, 2, "large");
    expect(results).toEqual([
      { rank: 0, wrong: -1 },
      { rank: 1, wrong: -1 },
    ]);
  });

  it("ends all ranks when one gives up", (context) => {
    const { status, stderr, results } = mpirun(context, 2, "abort");
    expect({ status, results }).toEqual({ status: 7, results: [] });
    expect(stderr).toContain("rank 1 gives up");
  });

  it("says what MPI says of a call that fails, and not that MPI is missing", (context) => {
    const [, failed] = mpirun(context, 2, "misfit").results as unknown as { rank: number; error?: string }[];
    expect(failed).toEqual({
      rank: 1,
      error: expect.stringMatching(
        /^RuntimeUnavailableError: MPI: MPI_Bcast failed: .*\. Another rank or the network may have failed: check the output of the other ranks and of the launcher\.$/,
      ),
    });
  });

  it("says which library is missing", async () => {
    await expect(joinMpi({ library: "libnone.so.12" })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[RuntimeUnavailableError: MPI: its library cannot be loaded: libnone.so.12: Failed to load shared library: cannot open shared object file: No such file or directory; expected an MPI library with the MPICH ABI: MPICH, Intel MPI, Cray MPT or MVAPICH. On Debian, \`apt-get install mpich\`; XCEPTION_MPI_LIBRARY names a library in another place.]`,
    );
  });

  it("says when a library is no MPI", async () => {
    await expect(joinMpi({ library: "libc.so.6" })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[RuntimeUnavailableError: MPI: its library is not an MPI library: Cannot find function 'MPI_Get_library_version' in shared library; expected an MPI library with the MPICH ABI: MPICH, Intel MPI, Cray MPT or MVAPICH. On Debian, \`apt-get install mpich\`; XCEPTION_MPI_LIBRARY names a library in another place.]`,
    );
  });
});

describe("isMpiProcess", () => {
  it.each([
    [{}, false],
    [{ PMI_SIZE: "1" }, false],
    [{ PMI_SIZE: "2" }, true],
    [{ PMIX_RANK: "0" }, true],
    [{ SLURM_STEP_NUM_TASKS: "4" }, true],
    // A shell inside an allocation of one task.
    [{ SLURM_STEP_NUM_TASKS: "1" }, false],
  ])("%j: %s", (environment, expected) => {
    expect(isMpiProcess(environment)).toBe(expected);
  });
});
