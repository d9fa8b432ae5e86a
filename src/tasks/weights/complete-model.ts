import { UsageError } from "../../errors.ts";
import { outputLayer } from "../../graph/network.ts";
import { imagenetLabels } from "../../models/imagenet-classes.ts";
import { familyOf } from "../../models/registry.ts";
import { defaultPreprocessing } from "../model/model.ts";
import { classifierProblem } from "../model/model-file.ts";
import type { OpenedModel } from "./open-weights.ts";
import type { ModelToWrite } from "./weights-target.ts";

/** With labels and preprocessing, if the network tells classes of images apart; and what was made up for that. */
export async function completeModel(opened: OpenedModel, given: readonly string[] | undefined) {
  const { network, weights, architecture, license, provenance } = opened;
  const model: ModelToWrite = { network, weights, architecture, license, provenance };
  const classes = outputLayer(network).outputShape[0]!;
  const kept = opened.labels?.length === classes ? opened.labels : undefined;
  if (classifierProblem(network, { labels: classNumbers(classes) })) {
    return { model: assertNoLabels(model, given), notes: [] };
  }
  const { labels, notes } = await classNames(classes, given ?? kept);
  const usual = { ...defaultPreprocessing, ...familyOf(architecture)?.preprocessing };
  const { preprocessing = usual } = opened;
  return {
    model: { ...model, labels, preprocessing },
    notes: [...(opened.preprocessing ? [] : [usualPreprocessing]), ...notes],
  };
}

/** Of a file that says nothing of it. */
export const usualPreprocessing =
  "The file does not say how images become numbers; pixel/127.5 - 1 was taken, as in keras.applications.";

/**
 * Names of as many classes as a network tells apart, and what was made up for that.
 * @param known default: ImageNet's if there are 1000, else numbers.
 * @throws {UsageError} there are not as many.
 */
export async function classNames(classes: number, known: readonly string[] | undefined) {
  if (known === undefined && classes === 1000) {
    const note = "It does not name its 1000 classes either; they were taken for ImageNet's, as in keras.applications.";
    return { labels: await imagenetLabels(), notes: [note] };
  }
  if (known === undefined) {
    const note = "It does not name the classes either; these are called by their numbers.";
    return { labels: classNumbers(classes), notes: [note] };
  }
  if (known.length === classes) return { labels: known, notes: [] };
  throw new UsageError({
    where: "labels",
    what: "there must be one label for each class",
    received: known.length,
    expected: `${classes} labels`,
  });
}

function classNumbers(classes: number): readonly string[] {
  return Array.from({ length: classes }, (_, index) => String(index));
}

function assertNoLabels(model: ModelToWrite, given: readonly string[] | undefined): ModelToWrite {
  if (given === undefined) return model;
  throw new UsageError({
    where: "labels",
    what: `network "${model.network.name}" does not tell classes of RGB images apart`,
    remedy: "Leave the labels out.",
  });
}
