import * as z from "zod";
import { checkDocument } from "../base/document.ts";
import { parseJson } from "../base/json.ts";
import { type ImageResize, standardization } from "../graph/preprocessing.ts";
import { defaultPreprocessing } from "./model.ts";
import type { PublishedDescription } from "./published-weights.ts";

const channels = z.array(z.number()).min(1).max(4);
const names = z
  .array(z.string())
  .or(z.record(z.string(), z.string()))
  .transform((given) => Object.values(given));
const size = z.int().min(1).max(8192);

/** The fields of `config.json` that describe images and classes, as timm writes them; older files have them at the top. */
const timmFields = z.object({
  input_size: z.tuple([z.int().min(1).max(4), size, size]).nullish(),
  mean: channels.nullish(),
  std: z.array(z.number().positive()).min(1).max(4).nullish(),
  interpolation: z.string().nullish(),
  crop_pct: z.number().positive().max(1).nullish(),
  crop_mode: z.string().nullish(),
  license: z.string().nullish(),
  label_names: names.nullish(),
  labels: names.nullish(),
});
const configSchema = timmFields.extend({
  pretrained_cfg: timmFields.nullish(),
  /** Labels as the library transformers writes them. */
  id2label: names.nullish(),
});

const fits: Readonly<Record<string, ImageResize["fit"]>> = { center: "cover", squash: "fill", border: "contain" };

/**
 * Reads the description of weights in a repository's `config.json`: labels, preprocessing, image size, license.
 * @throws {FormatError} it is not JSON, or a field has another type than in timm.
 * @see timm/models/_hub.py, `load_model_config_from_hf`
 */
export function parseHubConfig(text: string, where: string): PublishedDescription {
  const { id2label, pretrained_cfg: inner, ...outer } = checkDocument(configSchema, parseJson(text, where), where);
  const { input_size: input, mean, std, interpolation, ...fields } = { ...outer, ...inner };
  const labels = outer.label_names ?? fields.label_names ?? fields.labels ?? id2label;
  const resize = {
    interpolation: interpolation === "nearest" || interpolation === "bilinear" ? interpolation : "bicubic",
    fit: fits[fields.crop_mode ?? "center"] ?? "cover",
    cropRatio: fields.crop_pct ?? 1,
  } as const;
  const preprocessing = mean && std && { ...defaultPreprocessing, ...standardization(mean, std), ...resize };
  return {
    ...(labels && { labels }),
    ...(preprocessing && { preprocessing }),
    ...(fields.license && { license: fields.license }),
    inputShape: input ? [input[1], input[2], input[0]] : undefined,
  };
}
