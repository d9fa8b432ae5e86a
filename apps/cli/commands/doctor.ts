import type { Command } from "commander";
import { assertLibrariesLoad, describeDiagnosis, diagnose } from "../diagnosis.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addHelp } from "../options.ts";

export default function registerDoctor(command: Command, io: CliIo): void {
  addHelp(command, {
    details: "The exit code is 1 if a native library does not load.",
    examples: ["xception doctor", "xception doctor --json"],
  }).action(async (flags: { json?: boolean }) => {
    const diagnosis = await diagnose();
    if (flags.json) writeJson(io, diagnosis);
    else io.stdout(describeDiagnosis(diagnosis));
    assertLibrariesLoad(diagnosis);
  });
}
