import type { Command } from "commander";
import { summarize, summaryJson } from "../../../src/report/summary.ts";
import { addCommand } from "../add-command.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addNetworkOptions, type NetworkFlags, networkOf } from "../network-options.ts";

export function registerSummary(program: Command, io: CliIo): void {
  const command = addCommand(program, "summary", {
    description: "List the layers: shapes, parameters and connections.",
    example: "xception summary --variant tutorial --input-shape 150x150x3 --classes 10",
  });
  addNetworkOptions(command).action((flags: NetworkFlags & { json?: boolean }) => {
    const network = networkOf(flags);
    if (flags.json) writeJson(io, summaryJson(network));
    else io.stdout(`${summarize(network, { width: io.columns ?? 100 })}\n`);
  });
}
