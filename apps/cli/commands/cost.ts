import type { Command } from "commander";
import { describeCost, networkCost } from "../../../src/report/cost.ts";
import { addDownloadOptions } from "../downloads.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addNetworkOptions, describedNetwork, type LookFlags } from "../network-options.ts";
import { addCommand } from "../options.ts";

interface CostFlags extends LookFlags {
  readonly json?: boolean;
}

export function registerCost(program: Command, io: CliIo): void {
  const command = addCommand(program, "cost [model]", {
    description:
      "Count weights and multiplications, separable convolutions against ordinary ones: of the network that flags describe, or of the one in a file, a model of any kind or its address.",
    example: "xception cost --input-shape 150x150x3 --width 0.5",
  });
  addNetworkOptions(addDownloadOptions(command)).action(async (model: string | undefined, flags: CostFlags) => {
    const cost = networkCost(await describedNetwork(model, command, flags, io));
    if (flags.json) writeJson(io, cost);
    else io.stdout(`${describeCost(cost, { width: io.columns ?? 100 })}\n`);
  });
}
