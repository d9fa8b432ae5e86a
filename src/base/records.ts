import type { Interval } from "./significance.ts";

/**
 * Records of training and evaluation: plain data produced by learning, passed on by tasks and shown in reports. Rates
 * (accuracy, precision, …) are fractions from 0 to 1, durations seconds.
 */

/** The result of evaluating a network on labeled images; also the JSON of `xception evaluate --json`. */
export interface Evaluation {
  /** Number of images evaluated. */
  readonly images: number;
  /** Top-1 accuracy: fraction of images whose true class, or one of them, has the highest probability. */
  readonly top1: number;
  /** 95 % confidence interval of the top-1 accuracy (Wilson): what other images of the same kind may give. */
  readonly top1Interval?: Interval;
  /**
   * Top-5 accuracy: fraction of images whose true class, or one of them, is among the five highest; 1 with five classes
   * or fewer.
   */
  readonly top5: number;
  /** Mean cross-entropy per image, in nats; with several labels per image, per image and class. */
  readonly loss: number;
  /** MAP@100 of images with several labels, weighted by class if weights were given. */
  readonly meanAveragePrecision?: number;
  /** Top-k accuracy for each requested k. */
  readonly topK?: readonly TopAccuracy[];
  /** Scores averaged over all classes. */
  readonly averages: ScoreAverages;
  /** Calibration of the probabilities; missing for images with several labels. */
  readonly calibration?: Calibration;
  /** One entry for each class, in the order of the network's outputs. */
  readonly perClass: readonly ClassScore[];
  /**
   * `confusion[truth][prediction]`: number of images of one class that were predicted as another. An image with several
   * labels counts for each of them: as correct if the class has a probability of at least ½, else as predicted as the
   * top class that is not among its labels.
   */
  readonly confusion: readonly (readonly number[])[];
}

/** Share of images whose class is among the top k. */
export interface TopAccuracy {
  readonly k: number;
  readonly accuracy: number;
}

/** Precision, recall and F1, averaged over classes. */
export type AverageScore = Pick<ClassScore, "precision" | "recall" | "f1">;

/** Precision, recall and F1 of all classes: see `averageScores`. */
export interface ScoreAverages {
  /** Macro average: every class counts the same. */
  readonly macro: AverageScore;
  /** Micro average: every prediction counts the same; with one label per image all three equal the accuracy. */
  readonly micro: AverageScore;
  /** Weighted average: every class counts by its number of images. */
  readonly weighted: AverageScore;
}

/** Calibration: predicted probabilities compared with the truth. */
export interface Calibration {
  /** Expected calibration error over 15 bins (ECE), 0 to 1; 0 is perfect. */
  readonly expectedCalibrationError: number;
  /** The non-empty bins, least confident first. */
  readonly bins: readonly ReliabilityBin[];
  /** Temperature scaling, if requested; only for networks with a softmax. */
  readonly temperature?: TemperatureFit;
}

/** Predictions with a probability above `from` and at most `to`. */
export interface ReliabilityBin {
  readonly from: number;
  readonly to: number;
  readonly images: number;
  /** Mean probability of the predictions. */
  readonly confidence: number;
  /** Fraction of them that is correct. */
  readonly accuracy: number;
}

/**
 * The temperature T for which softmax(logits / T) has the lowest loss on the evaluated images themselves, and the loss
 * and calibration error with it: on other images it will help less.
 */
export interface TemperatureFit {
  /** Above 1 if the network is overconfident. From 0.01 to 100. */
  readonly temperature: number;
  readonly loss: number;
  readonly expectedCalibrationError: number;
}

/** Scores of one class. A score whose denominator is 0 is 0. */
export interface ClassScore {
  readonly label: string;
  /** Fraction of the images predicted as this class that belong to it. */
  readonly precision: number;
  /** Fraction of the images of this class that were predicted as it. */
  readonly recall: number;
  /** Harmonic mean of precision and recall. */
  readonly f1: number;
  /**
   * Average precision for images with several labels, see `AveragePrecisionTally`; missing if no evaluated image has
   * the class.
   */
  readonly averagePrecision?: number;
  /** Number of evaluated images of this class. */
  readonly support: number;
}

/** One pass over the training images; one line of `history.csv`. */
export interface EpochRecord {
  /** Counted from 1. */
  readonly epoch: number;
  /** Mean training loss, including augmentation, dropout and label smoothing. */
  readonly loss: number;
  /** Fraction of (augmented) training images classified correctly during the epoch. */
  readonly accuracy: number;
  /** Mean cross-entropy on the validation images after the epoch, if there are any. */
  readonly validationLoss?: number;
  readonly validationAccuracy?: number;
  /** Mean average precision for images with several labels; decides which weights are best. */
  readonly validationPrecision?: number;
  /** Learning rate of the epoch's last step. */
  readonly learningRate: number;
  /** Training throughput, validation not counted. */
  readonly imagesPerSecond: number;
  /** Wall-clock time of the epoch, validation included. */
  readonly seconds: number;
}

/**
 * Images that a network was evaluated on: those that chose its weights, the epoch or another setting, or others that did
 * not.
 */
export type EvaluatedImages = "validation" | "test";

/** One evaluated image and its prediction. */
export interface Prediction {
  readonly file: string;
  /** Label of the true class. */
  readonly truth: string;
  /** Label of the class with the highest probability. */
  readonly predicted: string;
  /** Probability of `predicted`, 0 to 1. */
  readonly probability: number;
  /** Probability of the true class, the highest if there are several; 0 without any. */
  readonly truthProbability: number;
  /** Rank of that class by descending probability, from 1; 0 without any. */
  readonly truthRank: number;
}

/** A file of a data set that could not be used. */
export interface SkippedFile {
  readonly file: string;
  readonly reason: string;
}

/** Gradient and activation statistics of a training step, layer by layer. */
export interface StepHealth {
  /** Layers with trained weights, in the network's order. */
  readonly layers: readonly LayerHealth[];
  /** Outputs of activation functions, in the network's order. */
  readonly activations: readonly ActivationHealth[];
}

/** The weights of a layer at one step; norms are Euclidean, over all its trained weights together. */
export interface LayerHealth {
  readonly layer: string;
  /** Norm of the loss gradient, before clipping. */
  readonly gradientNorm: number;
  /** Norm of the weights before the step. */
  readonly weightNorm: number;
  /** Norm of the step's change, divided by the weights'; 1e-3 is usual, infinite where all weights were 0. */
  readonly updateRatio: number;
}

/** Statistics of an activation for the first image of a batch. */
export interface ActivationHealth {
  readonly layer: string;
  readonly mean: number;
  /** Standard deviation. */
  readonly deviation: number;
  /** Fraction of values that are not above 0: for a ReLU, those that pass no gradient. */
  readonly zeroShare: number;
}

/** Gradient and activation statistics of a network's blocks at one step. */
export interface HealthRecord {
  /** Steps done, this one included. */
  readonly step: number;
  /** Blocks with trainable weights or activation functions, in the network's order. */
  readonly blocks: readonly BlockHealth[];
}

/** The layers of one block combined; norms are over all their trained weights, and missing if there are none. */
export interface BlockHealth {
  readonly block: string;
  readonly gradientNorm?: number;
  readonly weightNorm?: number;
  /** Norm of the step's change, divided by the weights'; also missing if all weights were 0. */
  readonly updateRatio?: number;
  /** Means over its activation functions; missing if it has none. */
  readonly activation?: {
    readonly mean: number;
    readonly deviation: number;
    /** Fraction of zeros in the activation with the most of them. */
    readonly zeroShare: number;
  };
}

/** A training step. */
export interface StepRecord {
  /** Steps done, this one included. */
  readonly step: number;
  readonly loss: number;
}

/** One class and its probability. */
export interface ClassProbability {
  readonly label: string;
  /** Index of the class in the network's outputs. */
  readonly index: number;
  /** 0 to 1. */
  readonly probability: number;
}

/** Mean and standard deviation over the images. */
export interface Spread {
  readonly mean: number;
  readonly deviation: number;
}

/** The tests of one method, or of a baseline that does not look at the network. */
export interface ExplanationScore {
  /** Name of the method, `random` or `edges`. */
  readonly method: string;
  /** Area under the class's probability while the most important pixels are hidden first; lower is better. */
  readonly deletion: Spread;
  /** The same while they are revealed first, on a blurred image; higher is better. */
  readonly insertion: Spread;
  /** Insertion − deletion, per image. */
  readonly difference: Spread;
  /** ROAD (Rong et al. 2022): how much less the class loses with the least than with the most important pixels, halved. */
  readonly road: Spread;
  /** Pointing game, where boxes are given: in how many of all classes of all images the map's maximum lies in a box. */
  readonly pointing?: { readonly hits: number; readonly total: number } | undefined;
  /**
   * Rank correlation of the maps before and after the weights are randomized, from the classifier down; the first value is
   * that of a randomized classifier, the last that of a network without any of its weights. Undefined for baselines.
   */
  readonly randomization: readonly Spread[] | undefined;
  /** Relative error of the attributions' sum; only for `integrated-gradients`. */
  readonly incompleteness: Spread | undefined;
  /** The map follows the weights: no correlation of the randomization is above 0.5 on average. Baselines have none. */
  readonly isSane: boolean | undefined;
}
