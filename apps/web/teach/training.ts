import type { TrainingResult } from "../../../src/train/request.ts";
import { recipes } from "../../../src/train/settings/recipes.ts";
import { runJob } from "../jobs.ts";
import { verbs } from "../library.ts";
import { currentModel, useAnyModel, useModel } from "../models.ts";
import { texts } from "../texts.ts";
import type { JudgedImage } from "./confusion.ts";
import { backboneOf, embedMissing, readProjectEmbeddings } from "./embedding.ts";
import { type HeadEpoch, holdOut, readsEmbedding } from "./head.ts";
import { store, type TaughtClass } from "./store.ts";

const words = texts.teach;

/** A trained model and how well it does. */
export interface Taught {
  readonly labels: readonly string[];
  readonly history: readonly HeadEpoch[];
  /** Predictions for the held-out images; for all of them if none is held out. */
  readonly judged: readonly JudgedImage[];
  readonly isHeldOut: boolean;
}

/** Follows the work. */
export interface TrainingFollower {
  /** A sentence, and the share that is done, from 0 to 1. */
  status(text: string, share: number): void;
  curves(history: readonly HeadEpoch[]): void;
}

/**
 * Trains a classifier on the embeddings of all images, writes the model, and puts it to use.
 * @throws {Error} there are too few classes or images, or other layers come before the model's classifier.
 */
export async function teachHead(
  classes: readonly TaughtClass[],
  { status, curves }: TrainingFollower,
): Promise<Taught> {
  await useAnyModel();
  const model = currentModel.value!;
  if (!readsEmbedding(await model.network())) throw new Error(words.otherLayers);
  await embedMissing(classes, (done, total) => status(words.embedding(done, total), total === 0 ? 1 : done / total));
  const { ids, embeddings, channels, labels } = await readProjectEmbeddings(classes, await backboneOf(model));
  const heldOut = holdOut(labels);
  const history: HeadEpoch[] = [];
  const data = { embeddings, channels, labels, classes: classes.length, heldOut };
  const head = await runJob("fitHead", data, ({ epoch, share }: { epoch: HeadEpoch; share: number }) => {
    history.push(epoch);
    status(words.fitting, share);
    curves(history);
  });
  status(words.writing, 1);
  const names = classes.map(({ name }) => name);
  const { kernel, bias } = head;
  const source = model.source instanceof URL ? model.source.href : model.source;
  await keep(await runJob("writeModel", { source, labels: names, kernel, bias }));
  const isHeldOut = heldOut.includes(1);
  const judged = ids.flatMap((id, row): JudgedImage[] => {
    if (isHeldOut && heldOut[row] === 0) return [];
    const own = [...head.probabilities.subarray(row * classes.length, (row + 1) * classes.length)];
    const probability = Math.max(...own);
    return [{ id, truth: labels[row]!, predicted: own.indexOf(probability), probability }];
  });
  return { labels: names, history: head.history, judged, isHeldOut };
}

/** Stores the trained model, and puts it to use. */
async function keep(file: Blob, unknownBelow = 0): Promise<void> {
  await store.saveModel({ title: words.modelTitle, file, unknownBelow });
  await useModel(words.modelTitle, file, unknownBelow);
}

/** Changes the probability below which the trained model's answer is unknown. */
export async function setUnknownBelow(unknownBelow: number): Promise<void> {
  const model = await store.model();
  if (!model) return;
  await store.saveModel({ ...model, unknownBelow });
  if (currentModel.value?.source === model.file || currentModel.value?.title === model.title) {
    currentModel.value.unknownBelow = unknownBelow;
  }
}

/**
 * Fine-tunes the last block of the trained model, with the library's own training, and puts the result to use.
 * @param signal ends it after the current step; the best weights so far are used.
 */
export async function fineTune(
  classes: readonly TaughtClass[],
  signal: AbortSignal,
  { status, curves }: TrainingFollower,
): Promise<Taught> {
  const model = (await store.model())!;
  const [training, validation] = await datasetsOf(classes);
  const history: HeadEpoch[] = [];
  const address = URL.createObjectURL(model.file);
  const recipe = Object.entries(recipes.finetune.lines).map(([name, { value }]) => [name, value]);
  const add = ({ history: epochs }: TrainingResult) => {
    const last = epochs.at(-1)!;
    const { loss, accuracy, validationLoss = Number.NaN, validationAccuracy = Number.NaN } = last;
    history.push({ loss, accuracy, heldOutLoss: validationLoss, heldOutAccuracy: validationAccuracy });
    curves(history);
  };
  try {
    const result = await verbs.train(training, {
      ...Object.fromEntries(recipe),
      headEpochs: 0,
      batchSize: Math.min(8, training.samples.length),
      epochs: 4,
      weights: address,
      ...(validation.samples.length > 0 && { validation }),
      signal,
      onProgress: ({ epoch, epochs, step, steps, secondsLeft }) =>
        status(words.fineTuning(epoch, epochs, Math.round(secondsLeft)), (epoch - 1 + step / steps) / epochs),
      onEpoch: add,
    });
    status(words.writing, 1);
    await keep(await verbs.saveModel(result), model.unknownBelow);
    const judged = (result.predictions ?? []).map((each): JudgedImage => {
      const truth = training.classes.indexOf(each.truth);
      return {
        id: Number(each.file),
        truth,
        predicted: training.classes.indexOf(each.predicted),
        probability: each.probability,
      };
    });
    return { labels: training.classes, history, judged, isHeldOut: judged.length > 0 };
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** The images to train on, and those to measure on. */
async function datasetsOf(classes: readonly TaughtClass[]) {
  const images = (await Promise.all(classes.map(({ id }) => store.imagesOf(id)))).map((own, label) =>
    own.map(({ id, file }) => ({ image: file, label, name: String(id) })),
  );
  const samples = images.flat();
  const heldOut = holdOut(Uint16Array.from(samples, ({ label }) => label));
  const names = classes.map(({ name }) => name);
  return [0, 1].map((part) => ({ classes: names, samples: samples.filter((_, index) => heldOut[index] === part) })) as [
    { classes: string[]; samples: typeof samples },
    { classes: string[]; samples: typeof samples },
  ];
}
