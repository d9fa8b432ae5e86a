import type { Command } from "commander";
import { FormatError } from "../../../src/base/errors.ts";
import { printableLine } from "../../../src/base/printable.ts";
import { defaultPreprocessing } from "../../../src/model/model.ts";
import type { ModelDescription } from "../../../src/model/model-file.ts";
import { modelFrom, type OpenedModel } from "../../../src/model/open-weights.ts";
import { imagenetOrigin } from "../../../src/model/published-weights.ts";
import { imagenetLabels } from "../../../src/models/imagenet-classes.ts";
import { nestedFacts } from "../../../src/report/document.ts";
import {
  countNumbers,
  summarize,
  summarizeGraph,
  summarizeWeights,
  summaryJson,
  type WeightFacts,
} from "../../../src/report/summary.ts";
import { nodePlatform } from "../../../src/runtime/node/platform.ts";
import { addDownloadOptions } from "../downloads.ts";
import { type CliIo, writeJson } from "../io.ts";
import {
  addNetworkOptions,
  type LookFlags,
  networkFromFlags,
  networkInWords,
  openDescribed,
  publishedNetwork,
} from "../network-options.ts";
import { addHelp } from "../options.ts";

interface SummaryFlags extends LookFlags {
  readonly json?: boolean;
}

export default function registerSummary(command: Command, io: CliIo): void {
  addHelp(command, {
    details:
      "Takes network flags, or a model: an architecture, a file in any supported format, or a URL. For another tool's " +
      "graph it lists inputs, outputs and operators; for bare weights, names and shapes.",
    examples: [
      "xception summary --variant tutorial --input-shape 150x150x3 --classes 10",
      "xception summary run/model.onnx",
    ],
  });
  addNetworkOptions(addDownloadOptions(command)).action(async (model: string | undefined, flags: SummaryFlags) => {
    const network = model === undefined ? networkFromFlags(command, flags) : networkInWords(model, command, flags);
    if (!network) return summarizeFile(model!, command, flags, io);
    if (flags.json) writeJson(io, summaryJson(network));
    else io.stdout(`${summarize(network, { width: io.columns ?? 100 })}\n`);
  });
}

async function summarizeFile(model: string, command: Command, flags: SummaryFlags, io: CliIo): Promise<void> {
  if (model === "imagenet") {
    const network = publishedNetwork(command, flags);
    const origin = imagenetOrigin(flags.architecture);
    const about = { labels: await imagenetLabels(), preprocessing: defaultPreprocessing, ...origin };
    return showModel(model, { format: "Keras's published weights", network, notes: [], ...about }, flags, io);
  }
  const { file, source, inputShape } = await openDescribed(model, command, flags, io);
  const { format, notes = [] } = file;
  const width = io.columns ?? 100;
  if (file.graph) {
    const graph = await file.graph(nodePlatform.engine, inputShape);
    const weights = file.stored?.() ?? [];
    if (flags.json) writeJson(io, { file: model, format, ...graph, weights, notes });
    else {
      const kind = format.startsWith("ONNX") ? "an ONNX graph" : `a ${format}`;
      const parts = [summarizeGraph(graph, { width }), summarizeWeights(weights, { width })];
      io.stdout(`${[`${model} is ${kind} of another tool`, ...parts].join("\n")}\n`);
    }
    return;
  }
  const showWeights = (weights: readonly WeightFacts[], title: string, more: readonly string[] = []) => {
    const params = countNumbers(weights);
    if (flags.json) writeJson(io, { file: model, format, weights, params, notes: [...notes, ...more] });
    else io.stdout(`${model} (${format}) ${[title, ...more, summarizeWeights(weights, { width })].join("\n")}\n`);
  };
  if (file.stored && !file.describedNetwork) {
    return showWeights(file.stored(), "contains weights without a network");
  }
  let opened: OpenedModel;
  try {
    opened = modelFrom(file, source.where, inputShape);
  } catch (error) {
    if (!(error instanceof FormatError) || !file.stored) throw error;
    return showWeights(file.stored(), "contains a network that cannot be built; its weights:", [error.message]);
  }
  showModel(model, opened, flags, io);
}

type ShownModel = Pick<OpenedModel, "format" | "network" | "notes"> & Omit<ModelDescription, "architecture">;

function showModel(name: string, model: ShownModel, flags: SummaryFlags, io: CliIo): void {
  const { format, network, labels, preprocessing, license, provenance, notes } = model;
  if (flags.json) {
    const about = { labels, preprocessing, license, provenance };
    writeJson(io, { file: name, format, ...summaryJson(network), ...about, notes });
  } else {
    io.stdout(`${name} (${format})\n${describe(model)}${summarize(network, { width: io.columns ?? 100 })}\n`);
  }
}

/** Describes the contents of the file besides the network. */
function describe({ labels, preprocessing, license, provenance }: ShownModel): string {
  const facts = {
    classes: labels && [`${labels.length}: ${labels.slice(0, 5).join(", ")}${labels.length > 5 ? ", …" : ""}`],
    images: preprocessing && [JSON.stringify(preprocessing)],
    license: license === undefined ? undefined : [license],
    provenance: provenance && nestedFacts(provenance).map(({ name, value }) => `${name}: ${value}`),
  };
  const lines = Object.entries(facts).flatMap(([name, values = []]) =>
    values.map((value, index) => `${(index === 0 ? name : "").padEnd(12)}${printableLine(value)}\n`),
  );
  return lines.join("");
}
