import { UsageError } from "../../errors.ts";
import { publishedWeights } from "../../models/registry.ts";

const { folder: published, withTop, withoutTop, license, origin } = publishedWeights()!;

/** What models made of these weights say of where they come from. */
export const imagenetOrigin = { license, provenance: { weights: origin, source: published } };

export interface ImagenetWeightsOptions {
  /** With the classifier of 1000 classes. */
  readonly includeTop: boolean;
  /** Address of another folder that has the files. */
  readonly mirror?: string | undefined;
  /** Of the file, where the mirror has another one. */
  readonly md5?: string;
}

/** Where weights are that are called `imagenet`; whatever has another name stays as it is. */
export function weightsNamed<T extends string | Uint8Array>(source: T, options: ImagenetWeightsOptions): T | string {
  return source === "imagenet" ? imagenetWeightsAddress(options) : source;
}

/**
 * The address of the weights that keras.applications.Xception learned from ImageNet, with the file's MD5 behind `#md5=`.
 * @throws {UsageError} the mirror is no address.
 * @see https://github.com/keras-team/keras/blob/master/keras/src/applications/xception.py
 */
export function imagenetWeightsAddress({ includeTop, mirror = published, md5 }: ImagenetWeightsOptions): string {
  if (!/^https?:\/\/./i.test(mirror)) {
    throw new UsageError({
      where: "mirror of the ImageNet weights (XCEPTION_WEIGHTS_URL)",
      what: "this is no address",
      received: mirror,
      expected: "that of a folder, http://… or https://…",
    });
  }
  const folder = mirror.endsWith("/") ? mirror : `${mirror}/`;
  const file = includeTop ? withTop : withoutTop;
  return `${folder}${file.name}#md5=${md5 ?? file.md5}`;
}
