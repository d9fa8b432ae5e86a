/**
 * What training and evaluation write down: plain data that learning makes, tasks pass on and reports show. Rates
 * (accuracy, precision, …) are fractions from 0 to 1, durations seconds.
 */

/** The result of testing a network on labeled images; also the JSON of `xception evaluate --json`. */
export interface Evaluation {
  /** How many images were tested. */
  readonly images: number;
  /** Fraction of images whose true class, or one of them, got the highest probability: the accuracy. */
  readonly top1: number;
  /** Fraction of images whose true class, or one of them, is among the five highest; 1 when there are five classes or fewer. */
  readonly top5: number;
  /** Mean cross-entropy, in nats for each image; with several labels for an image, for each image and class. */
  readonly loss: number;
  /** MAP@100 of images with several labels, weighted by class if weights were given. */
  readonly meanAveragePrecision?: number;
  /** Fraction of images whose true class, or one of them, is among the k highest, for each k that was asked for. */
  readonly topK?: readonly TopAccuracy[];
  /** The scores of all classes in one. */
  readonly averages: ScoreAverages;
  /** How far probabilities can be believed; missing for images with several labels. */
  readonly calibration?: Calibration;
  /** One entry for each class, in the order of the network's outputs. */
  readonly perClass: readonly ClassScore[];
  /**
   * `confusion[truth][prediction]`: how many images of one class were taken for another. An image with several labels counts
   * for each of them: as found where the class has at least ½, else as taken for the likeliest class that is not one of its own.
   */
  readonly confusion: readonly (readonly number[])[];
}

export interface TopAccuracy {
  readonly k: number;
  readonly accuracy: number;
}

export type AverageScore = Pick<ClassScore, "precision" | "recall" | "f1">;

/** Precision, recall and F1 of all classes: see `averageScores`. */
export interface ScoreAverages {
  /** Every class counts the same. */
  readonly macro: AverageScore;
  /** Every answer counts the same; with one label for an image all three are the accuracy. */
  readonly micro: AverageScore;
  /** Every class counts by its images. */
  readonly weighted: AverageScore;
}

/** How probabilities compare with the truth. */
export interface Calibration {
  /** Mean distance between confidence and accuracy over 15 bins (ECE), 0 to 1; 0 is perfect. */
  readonly expectedCalibrationError: number;
  /** The bins that answers fell into, the least confident first. */
  readonly bins: readonly ReliabilityBin[];
  /** Where it was asked for, of networks with a softmax. */
  readonly temperature?: TemperatureFit;
}

/** Answers whose probability is above `from` and at most `to`. */
export interface ReliabilityBin {
  readonly from: number;
  readonly to: number;
  readonly images: number;
  /** Mean probability of the answers. */
  readonly confidence: number;
  /** Fraction of them that is right. */
  readonly accuracy: number;
}

/**
 * The temperature T for which softmax(logits / T) has the least loss on the tested images themselves, and loss and calibration
 * error with it: on other images it will help less.
 */
export interface TemperatureFit {
  /** Above 1: the network is too sure of itself. From 0.01 to 100. */
  readonly temperature: number;
  readonly loss: number;
  readonly expectedCalibrationError: number;
}

/** How well one class was recognized. A score whose denominator is 0 is 0. */
export interface ClassScore {
  readonly label: string;
  /** Of the images taken for this class, the fraction that belong to it. */
  readonly precision: number;
  /** Of the images of this class, the fraction that was recognized. */
  readonly recall: number;
  /** Harmonic mean of precision and recall. */
  readonly f1: number;
  /** Of images with several labels: see `AveragePrecisionTally`; missing where no tested image has the class. */
  readonly averagePrecision?: number;
  /** How many of the tested images belong to this class. */
  readonly support: number;
}

/** One pass over the training images; one line of `history.csv`. */
export interface EpochRecord {
  /** Counted from 1. */
  readonly epoch: number;
  /** Mean training loss, with augmentation, dropout and label smoothing as they were. */
  readonly loss: number;
  /** Fraction of (augmented) training images classified rightly during the epoch. */
  readonly accuracy: number;
  /** Mean cross-entropy on the validation images after the epoch, if there are any. */
  readonly validationLoss?: number;
  readonly validationAccuracy?: number;
  /** Mean average precision of images with several labels, which decides what is best. */
  readonly validationPrecision?: number;
  /** Of the epoch's last step. */
  readonly learningRate: number;
  /** Training throughput, validation not counted. */
  readonly imagesPerSecond: number;
  /** Wall-clock time of the epoch, validation included. */
  readonly seconds: number;
}

/** One tested image and what the network took it for. */
export interface Prediction {
  readonly file: string;
  /** Label of the true class. */
  readonly truth: string;
  /** Label of the class with the highest probability. */
  readonly predicted: string;
  /** Probability of `predicted`, 0 to 1. */
  readonly probability: number;
  /** Probability of the true class; of several, of the likeliest; 0 without any. */
  readonly truthProbability: number;
  /** Place of that class among all, by falling probability, from 1; 0 without any. */
  readonly truthRank: number;
}

/** A file of a data set that could not be used. */
export interface SkippedFile {
  readonly file: string;
  readonly reason: string;
}

/** How well a training step works, layer by layer. */
export interface StepHealth {
  /** Layers whose weights the optimizer moves, in the network's order. */
  readonly layers: readonly LayerHealth[];
  /** Outputs of activation functions, in the network's order. */
  readonly activations: readonly ActivationHealth[];
}

/** The weights of a layer at one step; norms are Euclidean, over all its trained weights together. */
export interface LayerHealth {
  readonly layer: string;
  /** Of the loss, before clipping. */
  readonly gradientNorm: number;
  /** Before the step. */
  readonly weightNorm: number;
  /** Norm of the step's change, divided by the weights'; 1e-3 is usual, infinite where all weights were 0. */
  readonly updateRatio: number;
}

/** What an activation function put out for the first image of a batch. */
export interface ActivationHealth {
  readonly layer: string;
  readonly mean: number;
  /** Standard deviation. */
  readonly deviation: number;
  /** Share of the numbers that are not above 0: of a ReLU, those that let no gradient through. */
  readonly zeroShare: number;
}

/** The health of a network's blocks at one step. */
export interface HealthRecord {
  /** Steps done, this one included. */
  readonly step: number;
  /** Blocks with weights that train or with activation functions, in the network's order. */
  readonly blocks: readonly BlockHealth[];
}

/** Layers of one block taken together; norms are over all their trained weights, and missing where there are none. */
export interface BlockHealth {
  readonly block: string;
  readonly gradientNorm?: number;
  readonly weightNorm?: number;
  /** Norm of the step's change, divided by the weights'; missing where all weights were 0, too. */
  readonly updateRatio?: number;
  /** Means over its activation functions; missing where it has none. */
  readonly activation?: {
    readonly mean: number;
    readonly deviation: number;
    /** Of the activation with the most zeros. */
    readonly zeroShare: number;
  };
}

/** A step of a training. */
export interface StepRecord {
  /** Steps done, this one included. */
  readonly step: number;
  readonly loss: number;
}
