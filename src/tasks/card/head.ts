import { architectureNames, nameOfArchitecture } from "../../models/registry.ts";
import { type CardMetric, splits } from "./scores.ts";
import type { CardSubject } from "./subject.ts";

/**
 * The metadata at the top of a model card, for Hugging Face.
 * @see https://huggingface.co/docs/hub/model-cards
 */
export interface CardHead {
  readonly license: string;
  readonly license_name?: string;
  readonly library_name: string;
  readonly pipeline_tag: string;
  readonly tags: readonly string[];
  readonly datasets?: readonly string[];
  readonly base_model?: string;
  readonly "model-index"?: readonly object[];
}

/** Licenses that Hugging Face knows by their SPDX identifier, in lower case. */
const knownLicenses =
  "afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsl-1.0 cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-4.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 ecl-2.0 epl-2.0 eupl-1.1 gpl gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0 mit mpl-2.0 ms-pl ncsa odbl openrail osl-3.0 pddl unlicense wtfpl zlib".split(
    " ",
  );

/** Returns the metadata of a card; what the file does not state is left out, its license is then `unknown`. */
export function cardHead(subject: CardSubject, metrics: readonly CardMetric[]): CardHead {
  const { architecture, network, labels, license, format } = subject;
  const isClassifier = labels !== undefined;
  const task = isClassifier ? "image-classification" : "image-feature-extraction";
  const known = architectureNames.find((each) => each === network?.name);
  const name = (architecture && nameOfArchitecture(architecture)) ?? known;
  const origin = originOf(subject);
  return {
    ...licenseOf(license),
    library_name: "xception-ts",
    pipeline_tag: task,
    tags: [...new Set([task, ...(name === undefined ? [] : [name]), formatTag(format)])],
    ...(origin.isImagenet && { datasets: ["imagenet-1k"] }),
    ...(origin.repository !== undefined && { base_model: origin.repository }),
    ...(metrics.length > 0 && { "model-index": [{ name: name ?? "model", results: resultsOf(subject, metrics) }] }),
  };
}

function licenseOf(license: string | undefined): Pick<CardHead, "license" | "license_name"> {
  if (license === undefined) return { license: "unknown" };
  const lower = license.toLowerCase();
  return knownLicenses.includes(lower) ? { license: lower } : { license: "other", license_name: license };
}

function formatTag(format: string): string {
  if (/onnx|model file/i.test(format)) return "onnx";
  if (/tf\.?js|tensorflow/i.test(format)) return "tfjs";
  if (/h5|keras/i.test(format)) return "keras";
  return /safetensors/i.test(format) ? "safetensors" : "pytorch";
}

/** Published weights that the model was made from. */
function originOf({ provenance = {} }: CardSubject) {
  const start = (provenance.start ?? {}) as Readonly<Record<string, unknown>>;
  const inner = (start.provenance ?? start) as Readonly<Record<string, unknown>>;
  const weights = String(provenance.weights ?? inner.weights ?? "");
  const source = String(provenance.source ?? inner.source ?? "");
  const [repository] = /^[\w.-]+\/[\w.-]+/.exec(weights) ?? [];
  return {
    isImagenet: /\bimagenet\b|in1k\b/i.test(weights),
    repository: /^hf:/i.test(source) ? repository : undefined,
  };
}

function resultsOf(subject: CardSubject, metrics: readonly CardMetric[]): readonly object[] {
  const split = (name: CardMetric["split"]) => metrics.filter((metric) => metric.split === name);
  return splits
    .filter((name) => split(name).length > 0)
    .map((name) => ({
      task: { type: "image-classification" },
      dataset: { type: "imagefolder", name: datasetName(subject, name), split: name },
      metrics: split(name).map(({ type, name, value }) => ({ type, name, value })),
    }));
}

/** The folder of images that the provenance names. */
export function datasetName({ provenance }: Pick<CardSubject, "provenance">, split: CardMetric["split"]): string {
  const data = provenance?.data as Readonly<Record<string, { readonly folder?: unknown } | undefined>> | undefined;
  const folder = data?.[split]?.folder;
  return typeof folder === "string" ? folder : `${split} images`;
}
