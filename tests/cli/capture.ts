import type { CliIo, ExitCode } from "../../apps/cli/io.ts";
import { run } from "../../apps/cli/program.ts";

/** Runs one command line without a process and returns all it wrote. */
export async function capture(
  argv: readonly string[],
  io: Partial<CliIo> = {},
): Promise<{ exitCode: ExitCode; stdout: string; stderr: string }> {
  let stdout = "";
  let stderr = "";
  const exitCode = await run(argv, {
    stdin: async () => new Uint8Array(),
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    isTTY: false,
    signal: new AbortController().signal,
    ...io,
  });
  return { exitCode, stdout, stderr };
}
