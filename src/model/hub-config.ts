import { parseJson } from "../base/json.ts";
import { number, string, wholeNumber } from "../base/kinds.ts";
import { either, fitting, list, nullish, object, record, tuple } from "../base/schema.ts";
import { type ImageResize, standardization } from "../graph/preprocessing.ts";
import { defaultPreprocessing } from "./model.ts";
import type { PublishedDescription } from "./published-weights.ts";

const channels = wholeNumber({ from: 1, to: 4 });
const size = wholeNumber({ from: 1, to: 8192 });
const names = nullish(either(list(string), record(string)));

/** The fields of `config.json` that describe images and classes, as timm writes them; older files have them at the top. */
const timmFields = {
  input_size: nullish(tuple(channels, size, size)),
  mean: nullish(list(number(), 1, 4)),
  std: nullish(list(number({ above: 0 }), 1, 4)),
  interpolation: nullish(string),
  crop_pct: nullish(number({ above: 0, to: 1 })),
  crop_mode: nullish(string),
  license: nullish(string),
  label_names: names,
  labels: names,
};
const configSchema = object({
  ...timmFields,
  pretrained_cfg: nullish(object(timmFields)),
  /** Labels as the library transformers writes them. */
  id2label: names,
});

const fits: Readonly<Record<string, ImageResize["fit"]>> = { center: "cover", squash: "fill", border: "contain" };

/**
 * Reads the description of weights in a repository's `config.json`: labels, preprocessing, image size, license.
 * @throws {FormatError} it is not JSON, or a field has another type than in timm.
 * @see timm/models/_hub.py, `load_model_config_from_hf`
 */
export function parseHubConfig(text: string, where: string): PublishedDescription {
  const { id2label, pretrained_cfg: inner, ...outer } = fitting(configSchema, parseJson(text, where), where);
  const { input_size: input, mean, std, interpolation, ...fields } = { ...outer, ...inner };
  const labels = outer.label_names ?? fields.label_names ?? fields.labels ?? id2label;
  const resize = {
    interpolation: interpolation === "nearest" || interpolation === "bilinear" ? interpolation : "bicubic",
    fit: fits[fields.crop_mode ?? "center"] ?? "cover",
    cropRatio: fields.crop_pct ?? 1,
  } as const;
  const preprocessing = mean && std && { ...defaultPreprocessing, ...standardization(mean, std), ...resize };
  return {
    ...(labels && { labels: Object.values(labels) }),
    ...(preprocessing && { preprocessing }),
    ...(fields.license && { license: fields.license }),
    inputShape: input ? [input[1], input[2], input[0]] : undefined,
  };
}
