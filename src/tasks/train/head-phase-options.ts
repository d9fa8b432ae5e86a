/** Where features stay from one training to the next, by name. */
export interface FeatureCache {
  /** Undefined where there is nothing of this name. */
  readonly read: (name: string) => Promise<Uint8Array | undefined>;
  readonly write: (name: string, bytes: Uint8Array) => Promise<void>;
}

export interface FrozenFeaturesOptions {
  /** Of each image: itself, and changes of it at random. */
  readonly views: number;
  readonly cache?: FeatureCache | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Images seen so far, all views together, and how many there are. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** What is worth knowing about the cache, in a sentence. */
  readonly onNote?: ((note: string) => void) | undefined;
}

/** A first phase of training: the classifier alone, on what the rest of the network says to images, computed once. */
export interface HeadPhase extends Partial<FrozenFeaturesOptions> {
  /** Passes over the features, from 1. */
  readonly epochs: number;
  /** The highest; it rises for a twentieth of the steps and falls along a cosine. Default 0.001. */
  readonly learningRate?: number;
  /** Called when it is over. */
  readonly onEnd?: (result: HeadResult) => void;
}

/** What the first phase reached, on the features that it was trained on. */
export interface HeadResult {
  readonly views: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly seconds: number;
}
