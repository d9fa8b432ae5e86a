import { UsageError } from "../../errors.ts";

/** Where Keras keeps the weights that it learned from ImageNet, under the MIT license. */
const published = "https://storage.googleapis.com/tensorflow/keras-applications/xception/";

/** What models made of these weights say of where they come from. */
export const imagenetOrigin = {
  license: "MIT",
  provenance: { weights: "keras.applications.Xception, trained on ImageNet", source: published },
} as const;

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
  const stem = `${folder}xception_weights_tf_dim_ordering_tf_kernels`;
  return includeTop
    ? `${stem}.h5#md5=0a58e3b7378bc2990ea3b43d5981f1f6`
    : `${stem}_notop.h5#md5=b0042744bf5b25fce3cb969f33bebb97`;
}
