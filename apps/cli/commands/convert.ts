import { existsSync } from "node:fs";
import type { Command } from "commander";
import { UsageError } from "../../../src/errors.ts";
import { readFile, writeFileAtomic } from "../../../src/runtime/node-files.ts";
import { type Conversion, convert } from "../../../src/tasks/convert.ts";
import { weightsSource } from "../../../src/tasks/weights-file.ts";
import { formatShape } from "../../../src/tensor/shape.ts";
import { addCommand } from "../add-command.ts";
import { type CliIo, writeJson } from "../io.ts";
import { addNetworkOptions, type NetworkFlags, xceptionOptionsOf } from "../network-options.ts";

interface ConvertFlags extends NetworkFlags {
  readonly labels?: string;
  readonly allowMissing?: string;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

export function registerConvert(program: Command, io: CliIo): void {
  const command = addCommand(program, "convert <in> <out>", {
    description:
      "Turn a file of Keras (.keras, .h5, .weights.h5) into ONNX. A whole model becomes a plain graph; weights alone, of the " +
      "network that the flags describe, become a model file.",
    example: "xception convert weights.h5 model.onnx --classes 10 --labels labels.txt",
  })
    .option("--labels <file>", "names of the classes, one a line, for weights alone")
    .option("--allow-missing <glob>", "weights that may be missing or differ, e.g. 'predictions/*'")
    .option("--overwrite", "replace OUT if it is there");
  addNetworkOptions(command).action(async (source: string, target: string, flags: ConvertFlags) => {
    refuseTarget(target, flags.overwrite ?? false);
    const { labels: labelFile, allowMissing } = flags;
    const conversion = await convert(await weightsSource(source, { readFile }), {
      network: givenNetwork(command, flags),
      labels: labelFile === undefined ? undefined : linesOf(await readFile(labelFile)),
      allowMissing,
    });
    const { bytes, ...rest } = conversion;
    await writeFileAtomic(target, bytes);
    if (flags.json) writeJson(io, { file: target, bytes: bytes.length, ...rest });
    else io.stdout(describe(conversion, source, target));
  });
}

/** Only what is on the command line: a whole model is asked nothing. */
function givenNetwork(command: Command, flags: ConvertFlags) {
  const given = Object.entries(flags).filter(([name]) => command.getOptionValueSource(name) === "cli");
  return xceptionOptionsOf(Object.fromEntries(given));
}

function refuseTarget(target: string, overwrite: boolean): void {
  if (!target.endsWith(".onnx")) {
    throw new UsageError({
      where: "argument OUT",
      what: "only ONNX files are written",
      received: target,
      expected: "*.onnx",
    });
  }
  if (overwrite || !existsSync(target)) return;
  throw new UsageError({
    where: "argument OUT",
    what: "the file is there already",
    received: target,
    remedy: "Add --overwrite.",
  });
}

function linesOf(text: Uint8Array): string[] {
  return new TextDecoder()
    .decode(text)
    .split(/\r?\n/)
    .filter((line) => line !== "");
}

function describe({ bytes, from, to, network, weights, notes }: Conversion, source: string, target: string): string {
  const lists = (["missing", "unexpected", "wrongShape"] as const).flatMap((kind) =>
    weights[kind].length > 0 ? [`${kind}: ${weights[kind].join(", ")}`] : [],
  );
  const lines = [
    `${source} (${from}) → ${target} (${to === "model" ? "model file" : "plain ONNX"}, ${bytes.length} bytes)`,
    `network   ${network.name}, ${network.layers} layers, pictures ${formatShape(network.inputShape)}`,
    `weights   ${weights.taken} tensors, told by ${weights.by}`,
    ...lists,
    ...notes.map((note) => `note: ${note}`),
  ];
  return `${lines.join("\n")}\n`;
}
