import { UsageError } from "../errors.ts";
import { classesOf, countPerClass, type ImageDataset, type Sample } from "./dataset.ts";

/** Numbers by the name of the class, 1 for those left out, or weights that balance. */
export type ClassWeights = "balanced" | Readonly<Record<string, number>>;

/**
 * The weights of a data set's classes, in their order.
 * @throws {UsageError} a weight is of none of the classes, or not allowed.
 */
export function classWeightsOf(given: ClassWeights, dataset: ImageDataset): number[] {
  if (given === "balanced") return balancedClassWeights(dataset);
  const { classes } = dataset;
  const unknown = Object.keys(given).filter((name) => !classes.includes(name));
  if (unknown.length > 0) refuse("there are weights of classes that the data set lacks", unknown, classes.join(", "));
  const weights = classes.map((name) => given[name] ?? 1);
  checkClassWeights(weights, dataset);
  return weights;
}

/**
 * Weights with which all classes count equally in the loss, however many samples each has: samples / (classes · samples of the
 * class), so that the mean over all samples is 1. A class without samples gets 0.
 */
export function balancedClassWeights(dataset: ImageDataset): number[] {
  const counts = countPerClass(dataset);
  const total = counts.reduce((sum, count) => sum + count, 0);
  return counts.map((count) => (count === 0 ? 0 : total / (counts.length * count)));
}

/**
 * @param classWeights one for each class of the data set.
 * @throws {UsageError} there are more or fewer weights than classes, one is no number from 0, or all are 0.
 */
export function checkClassWeights(classWeights: readonly number[], { classes }: ImageDataset): void {
  if (classWeights.length !== classes.length) {
    refuse("there is not one for each class", `${classWeights.length} weights`, `${classes.length} weights`);
  }
  const wrong = classWeights.findIndex((weight) => !(weight >= 0 && weight < Infinity));
  if (wrong >= 0) refuse(`the weight of "${classes[wrong]}" is not allowed`, classWeights[wrong], "a number from 0");
  if (!classWeights.some((weight) => weight > 0)) refuse("no class counts", classWeights, "a weight above 0");
}

/** How much a sample counts: its own weight times the mean of its classes' weights. */
export function weightOf(sample: Sample, classWeights: readonly number[] | undefined): number {
  const { weight = 1 } = sample;
  const labels = classesOf(sample);
  if (classWeights === undefined || labels.length === 0) return weight;
  return (weight * labels.reduce((sum, label) => sum + classWeights[label]!, 0)) / labels.length;
}

function refuse(what: string, received: unknown, expected: string): never {
  throw new UsageError({ where: "class weights", what, received, expected });
}
