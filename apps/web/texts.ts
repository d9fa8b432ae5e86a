import type { LayerType } from "../../src/graph/layers.ts";

/** Every text of the page, to be translated in one place. */
export const texts = {
  title: "Xception",
  tagline: "An image network in your browser. Your images never leave this computer.",
  skip: "Skip to the content",
  views: { try: "Try", inside: "Look inside", teach: "Teach", check: "Prove" },
  footer: {
    paper: "Xception: Deep Learning with Depthwise Separable Convolutions, François Chollet, CVPR 2017",
    emoji:
      "The emoji model was trained on Noto Emoji (© Google, Apache License 2.0). The samples are Twemoji (© Twitter, Inc and other contributors, CC-BY 4.0).",
  },
  inside: {
    title: "Look inside",
    lead: "Every layer of the network. Choose one to see its shape, its parameters and its work, and what it does in one sentence.",
    network: "Network",
    networks: {
      current: (name: string) => `Loaded: ${name}`,
      paper: "Xception, as in the paper and in Keras",
      tutorial: "Xception, as the “from scratch” article lists it",
      inception: "Inception V3, which the paper compares it with",
      aligned: "Aligned Xception 65, of DeepLab and timm",
    },
    totals: (layers: string, parameters: string, macs: string) =>
      `${layers} layers · ${parameters} parameters · ${macs}MACs for one image`,
    graph: "Graph of the network. Arrow keys move from layer to layer.",
    zoomIn: "Zoom in",
    zoomOut: "Zoom out",
    fit: "Whole network",
    jump: "Go to",
    input: "Input",
    output: "Output",
    shape: (from: string, to: string) => (from === "" ? to : `${from} → ${to}`),
    shapeTitle: "Shape",
    parameters: "Parameters",
    ofThemFrozen: (count: string) => `${count} not trained`,
    macs: "Multiply-accumulates",
    macsNone: "none that count",
    next: "Next layer",
    previous: "Previous layer",
    against: "Instead of an ordinary convolution",
    againstText: (separable: string, ordinary: string, ratio: string) =>
      `${separable} weights. An ordinary convolution with the same window would have ${ordinary}, ${ratio} times as many.`,
    maps: "Feature maps",
    mapsOf: (first: number, last: number, total: number) => `Channels ${first} to ${last} of ${total}`,
    mapsNeedImage: "Choose an image under “Try” to see what this layer makes of it.",
    mapsNeedModel: "This network has no weights here. Choose the loaded model to see feature maps.",
    mapsPrevious: "Previous channels",
    mapsNext: "Next channels",
    strongest: (channel: number) => `Channel ${channel} responds most.`,
  },
  separable: {
    title: "219 instead of 1,728",
    lead: "From the three colors of an image to 64 channels, with a 3×3 window. Each square is one weight.",
    ordinary: "Ordinary convolution",
    ordinaryText: "64 filters, each looking at 3×3 pixels in all three colors at once.",
    ordinaryCount: "3 × 3 × 3 × 64",
    separable: "Separable convolution",
    separableText: "One 3×3 filter for each color, then 64 ways of mixing the three results.",
    separableCount: "3 × 3 × 3 + 3 × 64",
    depthwise: "depthwise",
    pointwise: "pointwise",
    play: "Play",
    pause: "Pause",
    description:
      "Animation: the weights of both convolutions appear at the same pace. The separable one is complete at 27 plus 192, 219 in total, when the ordinary one has an eighth of its 1,728.",
  },
} as const;

/** Each kind of layer in one sentence, in the terms of the paper and of Keras. */
export const layerSentences: Readonly<Record<LayerType, string>> = {
  InputLayer: "The image: height, width and three color channels, scaled the way the network was trained.",
  Conv2D: "An ordinary convolution: each filter looks at a window of all channels at once (Keras: Conv2D).",
  SeparableConv2D:
    "A depthwise separable convolution, the paper's building block: one filter per channel looks at space, then a 1×1 convolution mixes the channels (Keras: SeparableConv2D).",
  DepthwiseConv2D:
    "The spatial half of a separable convolution: one filter per channel, no mixing (Keras: DepthwiseConv2D).",
  BatchNormalization:
    "Shifts and scales each channel to the mean and variance it learned; for inference it is folded into the convolution before it (Keras: BatchNormalization).",
  Activation:
    "Applies one function to every number; relu keeps what is positive and drops the rest (Keras: Activation).",
  ReLU: "Keeps what is positive and drops the rest (Keras: ReLU).",
  LeakyReLU: "Keeps what is positive and shrinks the rest (Keras: LeakyReLU).",
  MaxPooling2D:
    "Keeps the strongest response of each window and halves the feature map, so that later layers see a larger part of the image (Keras: MaxPooling2D).",
  AveragePooling2D: "Averages each window (Keras: AveragePooling2D).",
  ZeroPadding2D: "Adds a margin of zeros (Keras: ZeroPadding2D).",
  GlobalAveragePooling2D:
    "Averages each channel over the whole image: one number per channel, the image's embedding (Keras: GlobalAveragePooling2D).",
  GlobalMaxPooling2D: "Keeps each channel's strongest response in the whole image (Keras: GlobalMaxPooling2D).",
  Add: "Adds the shortcut to the block's result: the residual connection, which lets a block learn only a correction (Keras: Add).",
  Concatenate: "Puts the channels of several branches side by side (Keras: Concatenate).",
  Flatten: "Writes all values as one vector (Keras: Flatten).",
  Dropout:
    "In training it switches off random values, against overfitting; for inference it does nothing (Keras: Dropout).",
  Dense: "Weighs the embedding for each class; softmax turns the sums into probabilities (Keras: Dense).",
};
