import { leaveOneOutProbabilities } from "../../learning/discriminant.ts";
import { topIndices } from "../../learning/ranking.ts";
import type { LabelIssue } from "../../report/data.ts";
import type { FloatTensor } from "../../tensor/tensor.ts";

/** Features of labeled images, e.g. their embeddings. */
export interface LabeledFeatures {
  readonly images: readonly { readonly file: string; readonly label: string }[];
  /** `[images, dimensions]` */
  readonly values: FloatTensor;
}

/** An examination of labels. */
export interface LabelCheck {
  /** Least probable label first. */
  readonly issues: readonly LabelIssue[];
  /** Accuracy on images that the classifier has not seen, 0 to 1. */
  readonly accuracy: number;
  /** Number of classes with too few images to be judged. */
  readonly unjudged: number;
}

/** Classes of fewer images are not judged. */
const leastImages = 5;
/** A label is in doubt if another class is so many times as probable. */
const leastRatio = 20;

/**
 * Finds labels that are probably wrong, as confident learning does: a classifier on the features predicts each image without
 * having seen it. An image is in doubt if another class is at least 20 times as probable as its label. (Confident
 * learning's thresholds for each class, the average probability of its own images, gave half the precision.) Classes of
 * fewer than 5 images are not judged.
 * @see https://arxiv.org/abs/1911.00068
 */
export function findLabelIssues({ images, values }: LabeledFeatures): LabelCheck {
  const classes = [...new Set(images.map(({ label }) => label))];
  const labels = images.map(({ label }) => classes.indexOf(label));
  const probabilities = leaveOneOutProbabilities(values, labels, classes.length);
  const counts = new Map<number, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  let correct = 0;
  const issues = images.flatMap(({ file, label }, index): LabelIssue[] => {
    const [all, own] = [probabilities[index]!, labels[index]!];
    const best = topIndices(all, 1)[0]!;
    if (best === own) correct++;
    const [probability, suggestedProbability] = [all[own]!, all[best]!];
    const isInDoubt = suggestedProbability >= leastRatio * probability && counts.get(own)! >= leastImages;
    return isInDoubt ? [{ file, label, suggested: classes[best]!, probability, suggestedProbability }] : [];
  });
  const unjudged = [...counts.values()].filter((count) => count < leastImages).length;
  return { issues: issues.sort((a, b) => a.probability - b.probability), accuracy: correct / images.length, unjudged };
}
