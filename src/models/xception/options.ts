import { choice, listOf, number, onOff, wholeNumber } from "../../base/kinds.ts";
import type { ActivationName } from "../../graph/layers.ts";
import { type OptionsOf, option, seedOption, sharedOptions } from "../options.ts";

/** The options of `xception`. The smallest image is that of keras.applications.Xception. */
export const xceptionOptions = {
  owner: "xception",
  smallest: 71,
  table: {
    /** `paper`: as published and in keras.applications. `tutorial`: as the "from scratch with TensorFlow" article lists it. */
    variant: option(choice("paper", "tutorial"), {
      scope: "network",
      about: "paper: as published and in Keras; tutorial: as the article lists it",
      default: "paper",
    }),
    ...sharedOptions,
    /** Sizes of the fully connected layers before the classifier; the paper tried `[4096, 4096]` on JFT. */
    fcUnits: option(listOf(wholeNumber({ from: 1, to: 65_536 })), {
      scope: "network",
      about: "fully connected layers before the classifier, e.g. 4096,4096",
      default: [],
      defaultText: "none",
      applies: "with top",
    }),
    /** False removes the shortcuts, as in the paper's figure 9. */
    residual: option(onOff(), {
      scope: "network",
      about: "shortcuts around the blocks (the paper's figure 9)",
      default: true,
    }),
    /** Between depthwise and pointwise step, as in the paper's figure 10. */
    intermediateActivation: option(choice("none", "relu", "elu"), {
      scope: "network",
      about: "between the steps of separable convolutions (paper, figure 10)",
      default: "none",
    }),
    /**
     * Segments of channels that the spatial step of a separable convolution convolves separately: `all`, one for each channel, is a
     * depthwise convolution; `1` is an ordinary convolution, followed by a 1×1 convolution.
     * @see the paper's section 1.2, "the continuum between convolutions and separable convolutions"
     */
    segments: option(choice("all", "1", "2", "4", "8"), {
      scope: "network",
      about: "segments of channels convolved separately: all for a separable convolution, 1 for an ordinary one",
      default: "all",
    }),
    /** Blocks of the middle flow. */
    middleFlowRepeats: option(wholeNumber({ from: 0, to: 100 }), {
      scope: "network",
      about: "blocks of the middle flow",
      default: 8,
    }),
    /** Added to the variance in batch normalization: 1e-3 as in Keras, where PyTorch has 1e-5. */
    batchNormEpsilon: option(number({ above: 0, to: 1 }), {
      scope: "port",
      about: "added to the variance in batch normalization",
      default: 1e-3,
    }),
    /**
     * Padding of 3×3 max pooling. `same`, as in Keras: an odd pixel at the end. `symmetric`: one pixel on every side, as in
     * PyTorch, which differs for even sizes.
     */
    poolPadding: option(choice("same", "symmetric"), {
      scope: "port",
      about: "padding of max pooling",
      default: "same",
    }),
    seed: seedOption,
  },
} as const;

/** Options of `xception`: height and width of `inputShape` at least 71. */
export type XceptionOptions = OptionsOf<typeof xceptionOptions.table>;
/** Wiring of Xception, see the option `variant`. */
export type XceptionVariant = NonNullable<XceptionOptions["variant"]>;

/** Options of the flows. */
export interface FlowOptions {
  /** Maps a channel count of the paper to the network's; default: the same. */
  readonly width?: (filters: number) => number;
  readonly residual?: boolean;
  readonly intermediateActivation?: ActivationName;
  /** See `sepConvBn`. */
  readonly segments?: number | undefined;
  readonly batchNormEpsilon?: number;
  readonly poolPadding?: "same" | "symmetric";
}

/** Fills in the defaults of a flow; `inside` are the options of its separable convolutions. */
export function completeFlow({ width = (filters) => filters, residual = true, poolPadding, ...inside }: FlowOptions) {
  // One pixel is half a 3×3 window.
  const pooling = { kernelSize: 3, strides: 2, padding: poolPadding === "symmetric" ? 1 : "same" } as const;
  return { width, residual, pooling, inside, batchNormEpsilon: inside.batchNormEpsilon };
}
