import { UsageError } from "../../errors.ts";
import { outputLayer } from "../../graph/network.ts";
import { imagenetLabels } from "../../models/imagenet-classes.ts";
import { defaultPreprocessing } from "../model/model.ts";
import { classifierProblem } from "../model/model-file.ts";
import type { OpenedModel } from "./open-weights.ts";
import type { ModelToWrite } from "./weights-target.ts";

/** With labels and preprocessing, if the network tells classes of pictures apart; and what was made up for that. */
export async function completeModel(opened: OpenedModel, given: readonly string[] | undefined) {
  const { network, weights, architecture, licence, provenance } = opened;
  const model: ModelToWrite = { network, weights, architecture, licence, provenance };
  const classes = outputLayer(network).outputShape[0]!;
  const kept = opened.labels?.length === classes ? opened.labels : undefined;
  const numbers = Array.from({ length: classes }, (_, index) => String(index));
  if (classifierProblem(network, { labels: numbers })) return { model: refuseLabels(model, given), notes: [] };
  const usual = classes === 1000 ? await imagenetLabels() : numbers;
  const labels = given ?? kept ?? usual;
  if (labels.length !== classes) {
    throw new UsageError({
      where: "labels",
      what: "there must be one label for each class",
      received: labels.length,
      expected: `${classes} labels`,
    });
  }
  const preprocessing = opened.preprocessing ?? defaultPreprocessing;
  const notes = [
    ...(opened.preprocessing
      ? []
      : ["The file does not say how pictures become numbers; pixel/127.5 - 1 was taken, as in keras.applications."]),
    ...(labels === numbers ? ["It does not name the classes either; these are called by their numbers."] : []),
    ...(labels === usual && usual !== numbers
      ? ["It does not name its 1000 classes either; they were taken for ImageNet's, as in keras.applications."]
      : []),
  ];
  return { model: { ...model, labels, preprocessing }, notes };
}

function refuseLabels(model: ModelToWrite, given: readonly string[] | undefined): ModelToWrite {
  if (given === undefined) return model;
  throw new UsageError({
    where: "labels",
    what: `network "${model.network.name}" does not tell classes of RGB pictures apart`,
    remedy: "Leave the labels out.",
  });
}
