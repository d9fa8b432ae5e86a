import { type Command, Option } from "commander";
import { counted } from "../../../src/report/numbers.ts";
import { type PlotOptions, plotDot } from "../../../src/report/plot/dot.ts";
import { layoutLimits, plotJob } from "../../../src/report/plot/plot.ts";
import { writeFileAtomic } from "../../../src/runtime/node/files.ts";
import { nodePlatform } from "../../../src/runtime/node/platform.ts";
import { addDownloadOptions } from "../downloads.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addNetworkOptions, describedNetwork, type LookFlags } from "../network-options.ts";
import { addHelp, positiveNumberOf } from "../options.ts";
import { extensionOf, renderPng } from "../output-file.ts";

interface PlotFlags extends LookFlags, PlotOptions {
  readonly output: string;
  readonly json?: boolean;
}

export default function registerPlot(command: Command, io: CliIo): void {
  addHelp(command, {
    details: "Takes network flags, or a model: an architecture, a file in any supported format, or a URL.",
    examples: ["xception plot -o model.svg --rankdir LR", "xception plot run/model.onnx -o model.png"],
  })
    .requiredOption("-o, --output <file>", "output file: .svg, .png or .dot")
    .addOption(
      new Option("--rankdir <direction>", "top to bottom or left to right").choices(["TB", "LR"]).default("TB"),
    )
    .option("--no-shapes", "hide input and output shapes")
    .option("--no-names", "hide layer names")
    .option("--dpi <n>", "pixels per inch (default: 72; .png: 144)", positiveNumberOf("--dpi"));
  addNetworkOptions(addDownloadOptions(command)).action(async (model: string | undefined, flags: PlotFlags) => {
    const format = extensionOf(flags.output, ["svg", "png", "dot"], "--output");
    const network = await describedNetwork(model, command, flags, io);
    const { rankdir = "TB", shapes = true, names = true, dpi = format === "png" ? 144 : 72 } = flags;
    const options = { rankdir, shapes, names, dpi };

    const where = model === undefined ? `network "${network.name}"` : `model "${model}"`;
    const draw = () => nodePlatform.isolate(plotJob(network, options, where), layoutLimits);
    const text = format === "dot" ? plotDot(network, options) : await draw();
    await writeFileAtomic(flags.output, format === "png" ? await renderPng(text, dpi) : text);
    if (flags.json) writeJson(io, { file: flags.output, format, layers: network.layers.length });
    else io.stderr(`Wrote ${flags.output}: ${counted(network.layers.length, "layer")} of ${network.name}\n`);
  });
}
