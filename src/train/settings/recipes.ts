import { UsageError } from "../../base/errors.ts";
import { type SettingsLayer, suggestion } from "./resolve.ts";
import type { SettingName, Settings } from "./settings.ts";

/** One line of a recipe: a value, and the paper's words for it, or the reason for our choice. */
type RecipeLine<T> = { readonly value: T } & ({ readonly paper: string } | { readonly choice: string });

/** A preset of settings; others have their defaults. */
export interface Recipe {
  readonly about: string;
  readonly lines: { readonly [Name in SettingName]?: RecipeLine<Settings[Name]> };
}

/** Name of a recipe, as for `--recipe`. */
export type RecipeName = keyof typeof recipes;

/** Settings of the paper, or our choices, for both ImageNet and JFT. */
const ofPaper = {
  imageSize: { value: 299, paper: "299×299, the input of figure 5" },
  augment: { value: "inception", choice: "not stated; crops and colors as usual for Inception" },
  batchSize: { value: 32, choice: "not stated; fits one machine" },
  labelSmoothing: { value: 0, choice: "not mentioned, so none" },
  momentum: { value: 0.9, paper: "momentum 0.9" },
  weightDecay: { value: 1e-5, paper: "L2 regularization with a rate of 1e-5, on ImageNet and JFT (section 4.3)" },
  decayAll: { value: false, choice: "not stated; kernels only, not biases, gammas and betas" },
  average: { value: "ema", paper: "Polyak averaging at inference time (section 4.2)" },
  averageDecay: {
    value: 0.9999,
    choice: "not stated; an exponential average, as usual in deep learning",
  },
  schedule: { value: "exponential", paper: "learning rate decay" },
} as const;

/**
 * Presets for `--recipe`. Those of the paper follow its sections 4.2 and 4.3 line by line.
 * @see https://arxiv.org/abs/1610.02357
 */
export const recipes = {
  "from-scratch": {
    about: "the defaults: AdamW and one cycle of the learning rate, for new weights and a few thousand images",
    lines: {},
  },
  finetune: {
    about: "two phases for pretrained weights: the head only, then the last block with it",
    lines: {
      headEpochs: { value: 20, choice: "on features computed once: seconds" },
      unfreezeFrom: { value: "last", choice: "few images suffice for the last block; earlier blocks stay frozen" },
      layerDecay: { value: 0.5, choice: "the block moves half as fast as the classifier" },
      optimizer: { value: "adamw", choice: "converges in few epochs" },
      learningRate: { value: 1e-3, choice: "best of 0.0003 and 0.001 on held-out training photos" },
      schedule: { value: "cosine", choice: "ends with small steps" },
      warmup: { value: 0.1, choice: "a tenth of the steps" },
      epochs: { value: 6, choice: "each recomputes the frozen backbone on newly augmented images" },
      batchSize: { value: 16, choice: "batch statistics do not matter here, the number of steps does" },
      dropout: { value: 0.2, choice: "against memorizing few images" },
      average: { value: "ema", choice: "steadier than the weights of the last step" },
      averageDecay: { value: 0.99, choice: "looks back over a hundred steps, an epoch or two" },
    },
  },
  "paper-imagenet": {
    about: "as the paper trained on ImageNet",
    lines: {
      ...ofPaper,
      dropout: { value: 0.5, paper: "a dropout layer of rate 0.5 before the logistic regression layer (section 4.3)" },
      epochs: { value: 100, choice: "not stated" },
      optimizer: { value: "sgd", paper: "SGD (section 4.2)" },
      nesterov: { value: false, choice: "not mentioned" },
      learningRate: { value: 0.045, paper: "initial learning rate 0.045" },
      decayFactor: { value: 0.94, paper: "of rate 0.94" },
      decayEpochs: { value: 2, paper: "every 2 epochs" },
    },
  },
  "paper-jft": {
    about: "as the paper trained on JFT: several labels for an image",
    lines: {
      ...ofPaper,
      dropout: { value: 0, paper: "no dropout, due to the large size of the dataset (section 4.3)" },
      fcUnits: { value: [], paper: "optional: two fully connected layers of 4096 units, with 4096,4096 (section 4.5)" },
      epochs: { value: 20, choice: "the paper trained for a month, without convergence" },
      optimizer: { value: "rmsprop", paper: "RMSprop (section 4.2)" },
      rho: { value: 0.9, choice: "not stated; Keras's default" },
      epsilon: { value: 1e-7, choice: "not stated; Keras's default" },
      learningRate: { value: 0.001, paper: "initial learning rate 0.001" },
      decayFactor: { value: 0.9, paper: "of rate 0.9" },
      decaySamples: { value: 3_000_000, paper: "every 3,000,000 samples" },
    },
  },
} as const satisfies Readonly<Record<string, Recipe>>;

export const recipeNames = Object.keys(recipes) as readonly RecipeName[];

/**
 * The settings of a recipe.
 * @param where the place that names it, for errors.
 * @throws {UsageError} there is none of this name.
 */
export function recipeLayer(name: string, where = "recipe"): SettingsLayer {
  if (!Object.hasOwn(recipes, name)) {
    const remedy = suggestion(name, recipeNames);
    throw new UsageError({
      where,
      what: "there is no such recipe",
      received: name,
      expected: recipeNames.join(", "),
      ...(remedy !== undefined && { remedy }),
    });
  }
  const lines = Object.entries(recipes[name as RecipeName].lines);
  return {
    source: `recipe ${name}`,
    values: Object.fromEntries(lines.map(([setting, { value }]) => [setting, value])),
    where: (setting) => `recipe ${name}, ${setting}`,
  };
}
