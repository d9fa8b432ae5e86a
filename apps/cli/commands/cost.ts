import type { Command } from "commander";
import { networkCost } from "../../../src/report/cost.ts";
import { describeCost } from "../../../src/report/cost-text.ts";
import { addCommand } from "../add-command.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addNetworkOptions, type NetworkFlags, networkOf } from "../network-options.ts";

export function registerCost(program: Command, io: CliIo): void {
  const command = addCommand(program, "cost", {
    description: "Count weights and multiplications, separable convolutions against ordinary ones.",
    example: "xception cost --input-shape 150x150x3 --width 0.5",
  });
  addNetworkOptions(command).action((flags: NetworkFlags & { json?: boolean }) => {
    const cost = networkCost(networkOf(flags));
    if (flags.json) writeJson(io, cost);
    else io.stdout(`${describeCost(cost, { width: io.columns ?? 100 })}\n`);
  });
}
