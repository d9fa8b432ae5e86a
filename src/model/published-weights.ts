import { UsageError } from "../base/errors.ts";
import { hubAddress, parseHubAddress } from "../base/hub-address.ts";
import { countParameters, networkWeights } from "../graph/network.ts";
import { type ArchitectureName, architectureNamed, buildNetwork, defaultName, families } from "../models/registry.ts";
import type { Shape } from "../tensor/shape.ts";
import type { ModelDescription } from "./model-file.ts";

/** Published weights that can be opened by their name. */
export interface NamedWeights {
  /** `imagenet`, or the name of a repository on Hugging Face. */
  readonly name: string;
  readonly architecture: ArchitectureName;
  readonly license: string;
}

const imagenet = families[0]!.published!;

/** All weights that can be opened by their name. */
export const namedWeights: readonly NamedWeights[] = [
  { name: "imagenet", architecture: defaultName, license: imagenet.license },
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

/** The addresses of the files that belong to a name. */
export function addressesNamed(name: string, mirror?: string): readonly string[] {
  if (name === "imagenet") return [true, false].map((includeTop) => imagenetAddress(includeTop, mirror));
  const place = parseHubAddress(hubAddressNamed(name) ?? name);
  const files = place.file === undefined ? weightsNames : [place.file];
  return [...files, "config.json"].map((file) => hubAddress(place, file));
}

/** Size of a file of weights in bytes, without its header: four for each number of the network. */
export function sizeOfWeights({ architecture }: NamedWeights): number {
  return 4 * countParameters(networkWeights(buildNetwork(architectureNamed(architecture)))).total;
}

/** License and provenance of models made from these weights. */
export const imagenetOrigin = {
  license: imagenet.license,
  provenance: { weights: imagenet.origin, source: imagenet.folder },
};

/**
 * The address of the weights `imagenet`, with the file's MD5 as `#md5=`.
 * @param mirror address of another folder with the same files.
 * @throws {UsageError} the mirror is not a URL.
 * @see https://github.com/keras-team/keras/blob/master/keras/src/applications/xception.py
 */
export function imagenetAddress(includeTop: boolean, mirror = imagenet.folder): string {
  if (!/^https?:\/\/./i.test(mirror)) {
    throw new UsageError({
      where: "mirror of the ImageNet weights (XCEPTION_WEIGHTS_URL)",
      what: "this is not a URL",
      received: mirror,
      expected: "the URL of a folder, http://… or https://…",
    });
  }
  const { name, md5 } = includeTop ? imagenet.withTop : imagenet.withoutTop;
  return `${mirror.replace(/\/?$/, "/")}${name}#md5=${md5}`;
}

/** A description of weights by their publisher. */
export interface PublishedDescription extends Partial<Omit<ModelDescription, "architecture">> {
  /** Shape of the images, if the file leaves it open. */
  readonly inputShape?: Shape | undefined;
}
