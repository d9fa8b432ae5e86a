import type { Command } from "commander";
import { checkParts, describeDiagnosis, diagnose } from "../diagnosis.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addCommand } from "../options.ts";

export function registerDoctor(program: Command, io: CliIo): void {
  addCommand(program, "doctor", {
    description: "Check this machine: versions, CPU, memory, and whether the native parts load (exit 1 if not).",
    example: "xception doctor --json",
  }).action(async (flags: { json?: boolean }) => {
    const diagnosis = await diagnose();
    if (flags.json) writeJson(io, diagnosis);
    else io.stdout(describeDiagnosis(diagnosis));
    checkParts(diagnosis);
  });
}
