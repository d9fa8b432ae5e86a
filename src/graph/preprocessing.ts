/** How pixels become a network's input: `pixel · scale + offset` for each channel. It belongs to the weights. */
export interface Preprocessing {
  readonly scale: number;
  readonly offset: number;
}

/** Pixels 0 … 255 to −1 … 1: what keras.applications.xception expects, x/127.5 − 1. */
export const kerasPreprocessing: Preprocessing = { scale: 1 / 127.5, offset: -1 };
