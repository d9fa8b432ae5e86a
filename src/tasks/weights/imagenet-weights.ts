import { UsageError } from "../../errors.ts";
import { publishedWeights } from "../../models/registry.ts";

const { folder: published, withTop, withoutTop, license, origin } = publishedWeights()!;

/** What models made of these weights say of where they come from. */
export const imagenetOrigin = { license, provenance: { weights: origin, source: published } };

/**
 * The address of the weights that keras.applications.Xception learned from ImageNet, with the file's MD5 behind `#md5=`.
 * @param includeTop with the classifier of 1000 classes.
 * @param mirror address of another folder that has the files.
 * @throws {UsageError} the mirror is no address.
 * @see https://github.com/keras-team/keras/blob/master/keras/src/applications/xception.py
 */
export function imagenetWeightsAddress(includeTop: boolean, mirror = published): string {
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
  return `${folder}${file.name}#md5=${file.md5}`;
}
