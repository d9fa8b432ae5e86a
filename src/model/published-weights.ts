import { z } from "zod";
import { UsageError } from "../base/errors.ts";
import { hubAddress, parseHubAddress } from "../base/hub-address.ts";
import { checkDocument, parseJson } from "../base/json.ts";
import { countParameters, type Network, networkWeights } from "../graph/network.ts";
import { type ImageResize, standardization } from "../graph/preprocessing.ts";
import type { PublishedWeights } from "../models/family.ts";
import {
  type Architecture,
  type ArchitectureName,
  architectureNamed,
  buildNetwork,
  defaultName,
  families,
  familyNamed,
  familyOf,
  recognizeArchitecture,
} from "../models/registry.ts";
import type { Shape } from "../tensor/shape.ts";
import { defaultPreprocessing } from "./model.ts";
import type { ModelDescription } from "./model-file.ts";

/** Published weights that can be opened by their name. */
export interface NamedWeights {
  /** `imagenet`, or the name of a repository on Hugging Face. */
  readonly name: string;
  readonly architecture: ArchitectureName;
  readonly license: string;
}

/** All weights that can be opened by their name; the architecture decides which ones `imagenet` means. */
export const namedWeights: readonly NamedWeights[] = [
  ...families.flatMap(({ names, published }) => {
    const [architecture] = Object.keys(names) as ArchitectureName[];
    return published ? [{ name: "imagenet", architecture: architecture!, license: published.license }] : [];
  }),
  ...families.flatMap(({ hub = {} }) =>
    Object.entries(hub).map(([name, license]) => {
      const [, architecture] = /^timm\/([^.]+)\./.exec(name)!;
      return { name, architecture: architecture as ArchitectureName, license };
    }),
  ),
];

/** The address on Hugging Face of weights with a name; undefined for other sources, such as paths. */
export function hubAddressNamed(source: unknown): string | undefined {
  const isNamed = source !== "imagenet" && namedWeights.some(({ name }) => name === source);
  return isNamed ? `hf://${source}` : undefined;
}

/** Names of the file of weights in a repository, the preferred one first. */
export const weightsNames = ["model.safetensors", "pytorch_model.bin", "model.onnx"] as const;

/** The addresses of the files that belong to a name; without an architecture, `imagenet` means those of all. */
export function addressesNamed(
  { name, architecture }: Pick<NamedWeights, "name"> & Partial<NamedWeights>,
  mirror?: string,
): readonly string[] {
  if (name === "imagenet") {
    const all = namedWeights.filter(
      (each) => each.name === name && each.architecture === (architecture ?? each.architecture),
    );
    return all.flatMap((each) => [true, false].map((includeTop) => imagenetAddress({ ...each, includeTop, mirror })));
  }
  const place = parseHubAddress(hubAddressNamed(name) ?? name);
  const files = place.file === undefined ? weightsNames : [place.file];
  return [...files, "config.json"].map((file) => hubAddress(place, file));
}

/** Size of a file of weights in bytes, without its header: four for each number of the network. */
export function sizeOfWeights({ architecture }: NamedWeights): number {
  return 4 * countParameters(networkWeights(buildNetwork(architectureNamed(architecture)))).total;
}

/** A network, by its name, its description or its layers; default: Xception. */
export type WhoseWeights = ArchitectureName | Architecture | Network;

/**
 * The ImageNet weights that keras.applications publishes for a network.
 * @throws {UsageError} it publishes none.
 */
function imagenetFor(whose: WhoseWeights = defaultName): PublishedWeights {
  const isName = typeof whose === "string";
  const architecture = isName || "family" in whose ? whose : recognizeArchitecture(whose);
  const own = typeof architecture === "object" ? familyOf(architecture) : architecture && familyNamed(architecture);
  const family = own ?? familyNamed(defaultName);
  if (family.published) return family.published;
  throw new UsageError({
    where: "weights imagenet",
    what: "Keras has not published any for this architecture",
    received: isName ? whose : family.family,
    expected: namedWeights
      .flatMap(({ name, architecture }) => (name === "imagenet" ? [architecture] : []))
      .join(" or "),
    remedy: "`xception weights` lists those of others.",
  });
}

/**
 * License and provenance of models made from the weights `imagenet`.
 * @throws {UsageError} there are none for the network.
 */
export function imagenetOrigin(whose?: WhoseWeights): PublishedDescription {
  const { license, origin, folder } = imagenetFor(whose);
  return { license, provenance: { weights: origin, source: folder } };
}

/**
 * The address of the weights `imagenet`, with the file's MD5 as `#md5=`.
 * @param options `mirror`: address of another folder with the same files.
 * @throws {UsageError} there are none for the network, or the mirror is not a URL.
 * @see https://github.com/keras-team/keras/tree/master/keras/src/applications
 */
export function imagenetAddress({
  architecture,
  includeTop = true,
  mirror,
}: {
  readonly architecture?: WhoseWeights | undefined;
  readonly includeTop?: boolean | undefined;
  readonly mirror?: string | undefined;
}): string {
  const { folder, withTop, withoutTop } = imagenetFor(architecture);
  const place = mirror ?? folder;
  if (!/^https?:\/\/./i.test(place)) {
    throw new UsageError({
      where: "mirror of the ImageNet weights (XCEPTION_WEIGHTS_URL)",
      what: "this is not a URL",
      received: mirror,
      expected: "the URL of a folder, http://… or https://…",
    });
  }
  const { name, md5 } = includeTop ? withTop : withoutTop;
  return `${place.replace(/\/?$/, "/")}${name}#md5=${md5}`;
}

/** A description of weights by their publisher. */
export interface PublishedDescription extends Partial<Omit<ModelDescription, "architecture">> {
  /** Shape of the images, if the file leaves it open. */
  readonly inputShape?: Shape | undefined;
}

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
