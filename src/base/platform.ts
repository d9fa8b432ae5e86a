import type { Tensor } from "../tensor/tensor.ts";

/**
 * The outside world, as a value that is passed in. Node and the browser each have one; tests may bring their own.
 */
export interface Platform extends SourceReader {
  /** For messages, e.g. `node`. */
  readonly name: string;
  readonly engine: Engine;
  readonly images: ImageCodec;
}

/** The parts of a platform that read sources. A part is absent where the platform has no such thing. */
export interface SourceReader {
  readonly files?: FileSystem;
  readonly downloads?: Downloads;
  readonly isolate?: Isolate;
}

/** Runs ONNX models. */
export interface Engine {
  /** Where sessions compute that name no device. */
  readonly defaultDevice: Device;
  /**
   * Loads an ONNX model.
   * @throws {RuntimeUnavailableError} the device is not available, or the engine rejects the model.
   */
  createSession(model: Uint8Array, options?: SessionOptions): Promise<Session>;
  /** Lists every device the engine knows, and whether it can compute there on this machine. */
  listDevices(): Promise<readonly DeviceStatus[]>;
}

/** Decodes and encodes images. */
export interface ImageCodec {
  /**
   * Decodes one image to sRGB pixels of exactly the requested size, or of its own, upright by its EXIF orientation. Pixels
   * that have this size already are returned as they are.
   * @throws {FormatError} the file is empty, damaged, truncated, too large, or no image of a supported format.
   * @throws {DataError} there is no such file, or it cannot be read.
   * @throws {ShapeError} pixels do not fill their width and height.
   * @throws {UsageError} it is no image source, or an option is out of its range.
   */
  decode(source: ImageSource, options: DecodeOptions): Promise<RgbImage>;
  /** Encodes an RGB image as PNG (for reports). */
  encodePng(image: RgbImage): Promise<Uint8Array>;
}

/** Files and folders. */
export interface FileSystem {
  /**
   * Reads a whole file into memory that belongs to the caller.
   * @param path or a `file:` URL.
   * @throws {FileError} it is missing, or cannot be read.
   */
  read(path: string | URL): Promise<Uint8Array>;
  /**
   * Lists everything below a folder, at any depth; links are followed, loops of links are not.
   * @throws {DataError} the folder is missing, is a file, or cannot be read.
   */
  list(path: string): Promise<FolderListing>;
  /**
   * Writes a file: whole, or not at all.
   * @throws {FileError} the folder is missing or not writable, or the path is a folder.
   */
  write(path: string, content: Uint8Array | string): Promise<void>;
}

/** Reads addresses. */
export interface Downloads {
  /** Address of a folder that has the published weights, in place of their publishers' own. */
  readonly mirror?: string | undefined;
  /**
   * Returns what is at an `http:` or `https:` address, in memory that belongs to the caller; an MD5 at its end, `#md5=…`,
   * is checked.
   * @throws {UsageError} this is no such address.
   * @throws {FileError} the download failed.
   * @throws {AbortedError} it was stopped.
   */
  read(address: string): Promise<Uint8Array>;
}

/** A place where a function can neither stop the program nor take all its memory: for libraries that read files from strangers. */
export interface Isolate {
  /**
   * Runs a function there.
   * @throws {FormatError} a limit was reached.
   * @throws what the function throws.
   */
  <T>(job: IsolatedJob<T>, limits: JobLimits): Promise<T>;
  /** Says that a job of this module will probably come: what can be loaded is loaded meanwhile. */
  prepare?(module: string): void;
}

/** A call of a function by its name, with what can be copied to another thread. */
export interface IsolatedJob<T> {
  /** Address of the module that exports the function, and `prepare`, if it has anything to load beforehand. */
  readonly module: string;
  readonly name: string;
  readonly input: readonly unknown[];
  /** Memory of the input that moves to the other thread instead of being copied: here it is gone. Default: none. */
  readonly moved?: readonly ArrayBuffer[];
  /** What errors call its input. */
  readonly where: string;
  /** Only says what the function returns. */
  readonly returns?: T;
}

export interface JobLimits {
  readonly timeMs: number;
  /** For each memory that a program in WebAssembly has. */
  readonly memoryBytes: number;
}

/** A loaded model, ready to run. Give it back with `dispose()`. */
export interface Session {
  /** Axes of its outputs, by name, as far as the engine tells before a run; a text stands for any size, and is its name. */
  readonly outputShapes?: ReadonlyMap<string, readonly (number | string)[]>;
  /** Computes all outputs, each in memory of its own, from one tensor for each input of the model. */
  run(feeds: Tensors): Promise<Tensors>;
  /**
   * As `run`, where tensors can lie in the device's own memory: takes some from there, and leaves there what the session was
   * loaded to keep (`keep`). Absent where the engine cannot.
   */
  runOnDevice?(feeds: DeviceFeeds): Promise<DeviceResults>;
  /** Stops profiling, if it was on, and returns the events the engine recorded. */
  endProfiling(): Promise<readonly ProfileEvent[]>;
  dispose(): Promise<void>;
}

export type Tensors = Readonly<Record<string, Tensor>>;

/** A float32 tensor in the memory of a device, which only sessions there can read. It stays until it is given back. */
export interface DeviceTensor {
  readonly device: Device;
  readonly shape: readonly number[];
  /** Gives its memory back. */
  dispose(): void;
}

export type DeviceFeeds = Readonly<Record<string, Tensor | DeviceTensor>>;

/** Outputs by name: those that have come, and those that stayed on the device. */
export interface DeviceResults {
  readonly tensors: Tensors;
  readonly kept: Readonly<Record<string, DeviceTensor>>;
}

/**
 * What the engine computes on: the CPU with native code or in WebAssembly, or a GPU through WebGPU
 * (any maker's), CUDA or TensorRT (NVIDIA), DirectML (Windows) or Core ML (macOS).
 */
export const devices = ["cpu", "wasm", "webgpu", "cuda", "tensorrt", "dml", "coreml"] as const;
export type Device = (typeof devices)[number];

/** Whether the engine can compute on a device. */
export interface DeviceStatus {
  readonly device: Device;
  readonly available: boolean;
  /** Why it is not available, in the engine's words. */
  readonly reason?: string;
}

export interface SessionOptions {
  /** Default: the engine's `defaultDevice`. Operators that a device lacks run on the CPU. */
  readonly device?: Device | undefined;
  /** Threads inside one operator; default: one for each core. */
  readonly threads?: number | undefined;
  /** Let the engine fold and fuse operators, and choose their layout; default true. */
  readonly optimize?: boolean;
  /** Record how long each operator takes. */
  readonly profile?: boolean;
  /** Outputs that `runOnDevice` leaves on the device, where it can. */
  readonly keep?: readonly string[];
}

/** How long one operator ran, once. */
export interface ProfileEvent {
  readonly operator: string;
  readonly node: string;
  readonly durationMs: number;
}

/** A file: its path, its address, or its bytes. */
export type Source = string | URL | Blob | ArrayBuffer | Uint8Array;

/** An image: a file (JPEG, PNG …), or pixels. */
export type ImageSource = Source | RgbImage;

/** What lies below a folder, in no particular order; hidden files included. */
export interface FolderListing {
  /** The folder, as the caller named it. */
  readonly path: string;
  /** Names of the folders directly in it, the empty ones too. */
  readonly folders: readonly string[];
  /** Paths of all files, relative to the folder, with `/` between the parts. */
  readonly files: readonly string[];
}

/**
 * Processes that work together, each with its share of the work (MPI). Every rank has to make the same calls in the same
 * order; a call returns when all have made it.
 */
export interface Communicator {
  /** Of this process, from 0. */
  readonly rank: number;
  /** Number of processes. */
  readonly size: number;
  /** Replaces each element by its sum over all ranks; equally many everywhere, and afterwards the same bits everywhere. */
  sum(values: Float32Array): void;
  /** Replaces the bytes by those of rank 0; equally many everywhere. */
  broadcast(bytes: Uint8Array): void;
  /** Ends all ranks at once, this one included: for errors that the others cannot know of. */
  abort(exitCode: number): void;
  /** To be called by every rank at its end, whereafter nothing else may be. */
  dispose(): void;
}

/** Pixels in rows from the top, three bytes (red, green, blue) each. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** Options that ask for a size. */
export type SizedDecodeOptions = DecodeOptions & { readonly width: number; readonly height: number };
/** Brings an image to exactly the size asked for. */
export type DecodeToSize = (source: ImageSource, options: SizedDecodeOptions) => Promise<RgbImage>;

export interface DecodeOptions {
  /** Size to bring the image to; together with `height`, or neither for the image's own size. */
  readonly width?: number;
  readonly height?: number;
  /**
   * Without width and height: an image that is read faster at a half, a quarter or an eighth of its size (JPEG) may come
   * that small, but not smaller than this. Default: every image comes whole.
   */
  readonly atLeast?: { readonly width: number; readonly height: number };
  /**
   * `fill` stretches to the size, as Keras's `load_img(target_size)`; `cover` keeps the proportions and crops the
   * overhang at the center; `contain` keeps them and fills the rest with the background. Default `fill`.
   */
  readonly fit?: "fill" | "cover" | "contain";
  /** Behind transparent pixels, `[red, green, blue]` from 0 to 255; default white. */
  readonly background?: readonly [number, number, number];
  /** Largest number of pixels that a file may claim to have; default 100 million. Guards against decompression bombs. */
  readonly pixelLimit?: number;
}
