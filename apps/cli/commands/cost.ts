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
    summary: "Count multiplications and weights, separable against ordinary",
    details: "Takes network flags, or a model: a file in any supported format, or a URL.",
    examples: ["xception cost --input-shape 150x150x3 --width 0.5", "xception cost run/model.onnx --json"],
  });
  addNetworkOptions(addDownloadOptions(command)).action(async (model: string | undefined, flags: CostFlags) => {
    const cost = networkCost(await describedNetwork(model, command, flags, io));
    if (flags.json) writeJson(io, cost);
    else io.stdout(`${describeCost(cost, { width: io.columns ?? 100 })}\n`);
  });
}
