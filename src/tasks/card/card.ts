import { number } from "../../base/kinds.ts";
import { check, object } from "../../base/schema.ts";
import { outputActivation } from "../../graph/network.ts";
import type { ModelParts } from "../../model/model.ts";
import { buildNetwork, nameOfArchitecture } from "../../models/registry.ts";
import {
  factsOf,
  nestedFacts,
  numberColumn,
  paragraph,
  type ReportDocument,
  type Row,
  type Section,
  section,
  table,
} from "../../report/document.ts";
import { toMarkdown } from "../../report/markdown.ts";
import { asMemory, counted, formatNumber, formatPercent, withCommas } from "../../report/numbers.ts";
import { sealed } from "./card-file.ts";
import { cardHead, datasetName } from "./head.ts";
import { quantizationSection } from "./quantization.ts";
import { type CardMetric, metricsIn, scoresIn, splits } from "./scores.ts";
import { type CardSubject, writtenSubject } from "./subject.ts";
import { type CardOptions, usageSection } from "./usage.ts";

/** Most classes that a card lists. */
const mostClasses = 100;

/**
 * Writes the card of a model as Markdown with Hugging Face's metadata in YAML: everything in it is from the file; what the file
 * does not state is said to be unknown.
 */
export async function cardMarkdown(subject: CardSubject, options?: CardOptions): Promise<string> {
  const { stringify } = await import("yaml");
  const head = stringify(cardHead(subject, metricsIn(subject)), { lineWidth: 0 });
  return sealed(`---\n${head}---\n\n${toMarkdown(cardDocument(subject, options))}`);
}

/**
 * Writes the card of a model file of this package.
 * @param name of the file.
 */
export async function modelFileCard(name: string, bytes: Uint8Array, model: ModelParts): Promise<string> {
  const { weights: _, ...described } = model;
  const network = buildNetwork(model.architecture);
  const written = { bytes, beside: new Map(), to: "model file", notes: [], model: { ...described, network } };
  return cardMarkdown(await writtenSubject(name, written));
}

/** The contents of a card as data, for `xception card --json`. */
export function cardJson(subject: CardSubject): object {
  const metrics = metricsIn(subject);
  const { files, format, parameters, inputShape, labels, preprocessing, license, provenance, notes } = subject;
  return {
    ...{ files, format, parameters, inputShape, labels, preprocessing, license: license ?? null, provenance },
    ...{ metrics, notes, head: cardHead(subject, metrics) },
  };
}

function cardDocument(subject: CardSubject, options?: CardOptions): ReportDocument {
  const { labels, architecture, network, files } = subject;
  const name = (architecture && nameOfArchitecture(architecture)) ?? network?.name;
  const purpose = labels === undefined ? "extracts features of images" : `classifies images: ${countOf(labels)}`;
  return {
    title: `${files[0].name}${name === undefined ? "" : `: ${name}`}`,
    summary: `A network that ${purpose}. xception-ts wrote this card from what the file contains.`,
    sections: [
      modelSection(subject),
      labels && classesSection(labels),
      dataSection(subject),
      trainingSection(subject),
      quantizationSection(subject),
      metricsSection(subject),
      calibrationSection(subject),
      licenseSection(subject),
      usageSection(subject, options),
      filesSection(subject),
    ],
  };
}

function countOf(labels: readonly string[]): string {
  return counted(labels.length, "class", "classes");
}

function modelSection({
  network,
  parameters,
  architecture,
  inputShape,
  preprocessing,
  format,
  provenance,
  notes,
}: CardSubject): Section {
  const [height, width, channels] = inputShape;
  const name = architecture && nameOfArchitecture(architecture);
  const facts = {
    Network:
      name ??
      (network
        ? `${network.name}, ${counted(network.layers.length, "layer")}`
        : "a graph of operators, without layers"),
    Parameters: withCommas(parameters),
    Images: `${height}×${width} pixels, ${channels === 1 ? "grayscale" : "RGB"}`,
    Resizing: preprocessing && resizing(preprocessing),
    Scaling: preprocessing && scaling(preprocessing),
    Format: format,
    "Made with": typeof provenance?.program === "string" ? provenance.program : undefined,
  };
  return section(
    "model",
    "Model",
    { type: "facts", facts: factsOf(facts) },
    notes.length > 0 ? paragraph(`Assumed or changed: ${notes.join(" ")}`) : undefined,
  );
}

type Images = NonNullable<CardSubject["preprocessing"]>;

function resizing({ interpolation, fit, cropRatio = 1, background }: Images): string {
  const fits = {
    fill: "stretched to this size",
    cover: "cropped to its proportions",
    contain: "padded to its proportions",
  };
  const crop = cropRatio === 1 ? "" : `, the central ${formatPercent(cropRatio)} of each side`;
  const kernel = interpolation === undefined ? "by the image decoder" : `by ${interpolation} interpolation`;
  return `${fits[fit]}${crop}, ${kernel}; background rgb(${background.join(", ")})`;
}

function scaling({ scale, offset, order }: Images): string {
  const text = (values: number | readonly number[]) => (typeof values === "number" ? values : `(${values.join(", ")})`);
  const added = typeof offset === "number" && offset < 0 ? `- ${-offset}` : `+ ${text(offset)}`;
  return `pixel · ${text(scale)} ${added}${order === "bgr" ? ", channels blue, green, red" : ""}`;
}

function classesSection(labels: readonly string[]): Section {
  const listed = labels.slice(0, mostClasses).join(", ");
  const more =
    labels.length > mostClasses ? ` … and ${withCommas(labels.length - mostClasses)} more, all in the file` : "";
  return section("classes", "Classes", paragraph(`${listed}${more}`));
}

/** The data as `xception train` records them: a folder and its images of each class. */
function dataSection({ provenance, labels = [], network }: CardSubject): Section {
  const title = "Data";
  const data = provenance?.data;
  if (data === undefined || data === null) {
    return section("data", title, paragraph("The file does not state what data the model was trained on."));
  }
  if (typeof data !== "object") return section("data", title, paragraph(String(data)));
  const sets = Object.entries(data).flatMap(([name, set]) => {
    const { folder, images } = (set ?? {}) as { readonly folder?: unknown; readonly images?: unknown };
    const isCounted = typeof images === "object" && images !== null && typeof folder === "string";
    return isCounted ? [{ name, folder, images: images as Readonly<Record<string, unknown>> }] : [];
  });
  if (sets.length !== Object.keys(data).length) {
    return section("data", title, { type: "facts", facts: nestedFacts(data) });
  }
  const known = new Set(sets.flatMap(({ images }) => Object.keys(images)));
  // An object lists names that are numbers first.
  const classes = [...new Set([...labels.filter((label) => known.has(label)), ...known])];
  const total = (images: Readonly<Record<string, unknown>>) =>
    Object.values(images).reduce<number>((sum, count) => sum + Number(count), 0);
  const counts = table(
    "Labeled images of each class",
    ["Class", ...sets.map(({ name, folder }) => numberColumn(`${name} (${folder})`))],
    classes
      .slice(0, mostClasses)
      .map((label) => [label, ...sets.map(({ images }) => String(Object.hasOwn(images, label) ? images[label] : 0))]),
    // With a sigmoid an image may have several labels, and is in the row of each.
    network && outputActivation(network) === "sigmoid"
      ? {}
      : { total: ["all", ...sets.map(({ images }) => withCommas(total(images)))] },
  );
  return section("data", title, counts);
}

/** Provenance that another section shows. */
const shownElsewhere = ["program", "data", "credits", "calibration", "quantization", "float32", ...splits];

function trainingSection({ provenance = {} }: CardSubject): Section {
  const { recipe = {}, ...others } = provenance;
  const known = Object.entries(others).filter(([name]) => !shownElsewhere.includes(name));
  const settings = nestedFacts(recipe).filter(({ value }) => value !== "");
  if (known.length === 0 && settings.length === 0) {
    const text = "The file does not state how the model was trained.";
    return section("training", "Training", paragraph(text));
  }
  const rows = settings.map(({ name, value }) => [name, value]);
  return section(
    "training",
    "Training",
    known.length > 0 ? { type: "facts", facts: nestedFacts(Object.fromEntries(known)) } : undefined,
    rows.length > 0 ? table("Settings of the run", ["Setting", "Value"], rows) : undefined,
  );
}

function metricsSection(subject: CardSubject): Section {
  const metrics = metricsIn(subject);
  const title = "Metrics";
  if (metrics.length === 0) {
    const other = subject.provenance?.quantization === undefined ? "" : " beyond that";
    const text = `The file does not state how well the model does${other}. To find out: xception evaluate.`;
    return section("metrics", title, paragraph(text));
  }
  const { epochs, quantizationAware } = (subject.provenance?.recipe ?? {}) as Readonly<Record<string, unknown>>;
  const isChosen = Number(epochs) > 1;
  const value = ({ type, value: number }: CardMetric) =>
    type === "loss" ? formatNumber(number) : formatPercent(number);
  return section(
    "metrics",
    title,
    ...splits.flatMap((split) => {
      const own = metrics.filter((metric) => metric.split === split);
      if (own.length === 0) return [];
      const chosen = isChosen && split === "validation" ? "; they also chose the epoch, which favors them" : "";
      const rounded =
        quantizationAware === true && split === "validation" ? "; computed with the rounding of int8" : "";
      return table(
        `${counted(own[0]!.images, `${split} image`)} (${datasetName(subject, split)})${rounded}${chosen}`,
        ["Metric", numberColumn("Value"), numberColumn("95 % interval")],
        own.map((metric) => [
          metric.name,
          value(metric),
          metric.interval ? `${formatPercent(metric.interval.low)} to ${formatPercent(metric.interval.high)}` : "",
        ]),
      );
    }),
    paragraph("Intervals are Wilson's; they cover the choice of the images, not that of the training run."),
  );
}

/** As {@link CalibratedModel}. */
const calibrationSchema = object({
  temperature: number(),
  images: number(),
  errorBefore: number(),
  errorAfter: number(),
});

function calibrationSection({ provenance, labels = [], network }: CardSubject): Section | undefined {
  if (labels.length === 0) return undefined;
  const [scores] = splits.flatMap((split) => scoresIn(provenance, split) ?? []);
  const calibrated = check(calibrationSchema, provenance?.calibration).value;
  const error = scores?.expectedCalibrationError;
  const softmax = network && outputActivation(network) === "softmax" && labels.length > 1;
  const closed = softmax
    ? "Probabilities sum to 1: an image of none of the classes is assigned to one of them, too, often with confidence."
    : undefined;
  if (calibrated) {
    const { temperature, images, errorBefore, errorAfter } = calibrated;
    const text = `The weights contain a temperature of ${formatNumber(temperature)}, fitted to ${counted(images, "image")}; on them it changes the expected calibration error from ${formatPercent(errorBefore)} to ${formatPercent(errorAfter)}. Losses and calibration errors above are those without it.`;
    return section("calibration", "Calibration", ...paragraphs(text, closed));
  }
  if (error === undefined) {
    const text = "The file does not state how well its probabilities are calibrated.";
    return section("calibration", "Calibration", ...paragraphs(text, closed));
  }
  const { temperature } = scores!;
  const direction = temperature === undefined ? "" : temperature > 1 ? "overconfident" : "underconfident";
  const fitted =
    temperature === undefined
      ? undefined
      : `The network is ${direction} on them: a temperature of ${formatNumber(temperature)}, not applied in this file, would calibrate it best.`;
  const text = `On average, the top probability differs by ${(100 * error).toFixed(1)} percentage points from the share of correct predictions.`;
  return section("calibration", "Calibration", ...paragraphs(text, fitted, closed));
}

function licenseSection({ license, provenance = {} }: CardSubject): Section {
  const start = provenance.start as { readonly license?: unknown } | undefined;
  const { credits } = provenance;
  const text =
    license === undefined ? "The file does not state a license of the weights." : `Of the weights: ${license}.`;
  const from =
    typeof start?.license === "string"
      ? `The weights that training started from are under ${start.license}.`
      : undefined;
  const lines = Array.isArray(credits) ? credits.map(String) : [];
  return section("license", "License", ...paragraphs(text, from, ...lines));
}

function paragraphs(...texts: readonly (string | undefined)[]): Section["blocks"] {
  return texts.map((text) => (text === undefined ? undefined : paragraph(text)));
}

function filesSection({ files }: CardSubject): Section {
  const rows = files.map(({ name, bytes, sha256 }): Row => [name, asMemory(bytes), { text: sha256, style: "code" }]);
  const listed = table("The model that this card describes", ["File", numberColumn("Size"), "SHA-256"], rows);
  return section("files", "Files", listed);
}
