import { numberColumn, type Row, type Table, table } from "./document.ts";

/** A finding of the paper about two networks of a comparison. */
export interface PaperClaim {
  readonly text: string;
  /** The network that the paper found better, and the other one, by their names in the comparison. */
  readonly better: string;
  readonly worse: string;
  /** Measure of the comparison: accuracy on new images, or images per second in training. */
  readonly measure: "accuracy" | "speed";
}

/**
 * Tables 1 to 3 of the paper.
 * @see Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, CVPR 2017
 */
export const paperTables: readonly Table[] = [
  paperTable(
    "Table 1: ImageNet, single crop, single model",
    ["Top-1 accuracy", "Top-5 accuracy"],
    [
      ["VGG-16", "0.715", "0.901"],
      ["ResNet-152", "0.770", "0.933"],
      ["Inception V3", "0.782", "0.941"],
      ["Xception", "0.790", "0.945"],
    ],
  ),
  paperTable(
    "Table 2: JFT, evaluated on FastEval14k",
    ["MAP@100"],
    [
      ["Inception V3, no fully connected layers", "6.36"],
      ["Xception, no fully connected layers", "6.70"],
      ["Inception V3, fully connected layers", "6.50"],
      ["Xception, fully connected layers", "6.78"],
    ],
  ),
  paperTable(
    "Table 3: size and training speed on 60 K80 GPUs",
    ["Parameters", "Steps/s"],
    [
      ["Inception V3", "23,626,728", "31"],
      ["Xception", "22,855,952", "28"],
    ],
  ),
];

/** Conditions of the paper's experiments on ImageNet, by the names of a comparison's setup. */
export const paperConditions: readonly { readonly name: string; readonly paper: string }[] = [
  { name: "Training images", paper: "ImageNet, about 1.28 million in 1,000 classes; JFT, over 350 million in 17,000" },
  { name: "Test images", paper: "the 50,000 validation images of ImageNet" },
  { name: "Image size", paper: "299×299" },
  { name: "Epochs", paper: "ImageNet: about 3 days per network; JFT: over a month, without full convergence" },
  { name: "Optimizer", paper: "SGD, momentum 0.9, learning rate 0.045, × 0.94 every 2 epochs" },
  { name: "Regularization", paper: "weight decay 1e-5 (Inception V3: 4e-5), dropout 0.5, averaged weights" },
  { name: "Seeds", paper: "not reported" },
  { name: "Machine", paper: "60 NVIDIA K80 GPUs, synchronous on ImageNet" },
];

function paperTable(caption: string, headers: readonly string[], rows: readonly Row[]): Table {
  return table(caption, ["Network", ...headers.map(numberColumn)], rows);
}
