import type { Command } from "commander";
import { networkCost } from "../../../src/graph/cost.ts";
import { describeCost, networkSizes, sizesTable } from "../../../src/report/cost.ts";
import { section } from "../../../src/report/document.ts";
import { toText } from "../../../src/report/text.ts";
import { addDownloadOptions } from "../downloads.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addNetworkOptions, describedNetwork, type LookFlags } from "../network-options.ts";
import { addHelp } from "../options.ts";

interface CostFlags extends LookFlags {
  readonly json?: boolean;
}

export default function registerCost(command: Command, io: CliIo): void {
  addHelp(command, {
    details:
      "A model is a file in any supported format, a URL, or an architecture with network flags, in quotes. Several are " +
      "compared side by side; without one, flags describe the network.",
    examples: [
      "xception cost --input-shape 150x150x3 --width 0.5",
      "xception cost xception inception-v3 'xception --width 0.5' run/model.onnx",
    ],
  });
  addNetworkOptions(addDownloadOptions(command)).action(async (models: readonly string[], flags: CostFlags) => {
    const width = io.columns ?? 100;
    if (models.length < 2) {
      const cost = networkCost(await describedNetwork(models[0], command, flags, io));
      if (flags.json) writeJson(io, cost);
      else io.stdout(`${describeCost(cost, { width })}\n`);
      return;
    }
    const networks = [];
    for (const name of models) {
      networks.push({ name, ...networkSizes(await describedNetwork(name, command, flags, io)) });
    }
    if (flags.json)
      writeJson(
        io,
        networks.map((each) => ({ ...each, flops: 2 * each.multiplications })),
      );
    else {
      const document = { title: models.join(" against "), sections: [section("sizes", "Sizes", sizesTable(networks))] };
      io.stdout(`${toText(document, { width })}\n`);
    }
  });
}
