import type { Tensor } from "../tensor/tensor.ts";

/** Access to the outside world, passed in as a value. Node and the browser each have one; tests may bring their own. */
export interface Platform extends SourceReader {
  /** Name in messages, e.g. `node`. */
  readonly name: string;
  readonly engine: Engine;
  readonly images: ImageCodec;
}

/** The parts of a platform that read sources; a part is undefined if the platform lacks it. */
export interface SourceReader {
  readonly files?: FileSystem;
  readonly downloads?: Downloads;
  readonly isolate?: Isolate;
}

/** Runs ONNX models. */
export interface Engine {
  /** Default device of sessions. */
  readonly defaultDevice: Device;
  /**
   * True if it chooses the device itself and replaces one that fails: it takes models for its default device, and asks for them
   * again (`SessionOptions.compileFor`). Default false.
   */
  readonly choosesDevice?: boolean;
  /** Announces a model, so that the engine's own code can be loaded while the model is. */
  prepare?(): void;
  /**
   * Loads an ONNX model.
   * @throws {RuntimeUnavailableError} the device is not available, or the engine rejects the model.
   */
  createSession(model: Uint8Array, options?: SessionOptions): Promise<Session>;
  /** Lists every device the engine knows, and whether it is available on this machine. */
  listDevices(): Promise<readonly DeviceStatus[]>;
}

/** Decodes and encodes images. */
export interface ImageCodec {
  /** Announces images, so that the decoder's own code can be loaded while a model is. */
  prepare?(): void;
  /**
   * Decodes one image to sRGB pixels of exactly the requested size, or its own size, rotated according to its EXIF
   * orientation. Pixels that already have this size are returned unchanged.
   * @throws {FormatError} the file is empty, damaged, truncated, too large, or not an image of a supported format.
   * @throws {DataError} the file does not exist, cannot be read, or is not a regular file.
   * @throws {ShapeError} pixels do not fill their width and height.
   * @throws {UsageError} it is not an image source, has no pixels, or an option is out of range.
   */
  decode(source: ImageSource, options: DecodeOptions): Promise<RgbImage>;
  /** Resizes pixels to the same bytes as the graph of a model file; without it, that graph does it. */
  resize?(image: RgbImage, resizing: ImageResizing): Promise<RgbImage>;
  /** Encodes an RGB image as PNG (for reports). */
  encodePng(image: RgbImage): Promise<Uint8Array>;
}

/** Resizing of an image of any size to a network's. */
export interface ImageResizing {
  readonly width: number;
  readonly height: number;
  /**
   * Interpolation, with half-pixel centers: `nearest` as in Keras's `load_img` by default; `bilinear` and `bicubic`
   * (Catmull-Rom) antialiased as in Pillow's `resize`.
   */
  readonly interpolation: "nearest" | "bilinear" | "bicubic";
  /**
   * `fill` stretches to the size; `cover` keeps the proportions and crops the overhang at the center; `contain` keeps them
   * and fills the rest with the background.
   */
  readonly fit: "fill" | "cover" | "contain";
  /** The central crop: share of the width and of the height that is kept, 0 < share ≤ 1 (timm's `crop_pct`). */
  readonly cropRatio?: number | undefined;
  /** `[red, green, blue]` from 0 to 255. */
  readonly background: readonly [number, number, number];
}

/** Files and folders. */
export interface FileSystem {
  /**
   * Reads a whole file into memory owned by the caller.
   * @param path or a `file:` URL.
   * @throws {FileError} it is missing, or cannot be read.
   */
  read(path: string | URL): Promise<Uint8Array>;
  /**
   * Lists everything below a folder, recursively; links are followed, cycles of links are not.
   * @throws {DataError} the folder is missing, is a file, or cannot be read.
   */
  list(path: string): Promise<FolderListing>;
  /**
   * Writes a file atomically.
   * @throws {FileError} the folder is missing or not writable, or the path is a folder.
   */
  write(path: string, content: Uint8Array | string): Promise<void>;
}

/** Limits of a download. */
export interface DownloadLimits {
  /** Largest file to download, in bytes; default 2 GB. */
  readonly sizeLimit?: number | undefined;
}

/** Downloads from URLs. */
export interface Downloads {
  /** URL of a mirror folder for the published weights. */
  readonly mirror?: string | undefined;
  /**
   * Downloads an `http:` or `https:` URL, or a file of a Hugging Face repository (`hf://owner/repo@revision/file`), into
   * memory owned by the caller. A checksum at the end of a URL, `#md5=…` or `#sha256=…`, is verified.
   * @throws {UsageError} the URL is not one of these.
   * @throws {FileError} the download failed.
   * @throws {AbortedError} the download was stopped.
   */
  read(address: string, limits?: DownloadLimits): Promise<Uint8Array>;
  /** Returns the path of the cached file of an address; undefined if it is not cached. */
  cached?(address: string): Promise<string | undefined>;
}

/**
 * A sandbox in which a function can neither hang the program nor exhaust its memory: for libraries that parse untrusted
 * files.
 */
export interface Isolate {
  /**
   * Runs a function in the sandbox.
   * @throws {FormatError} a limit was reached.
   * @throws what the function throws.
   */
  <T>(job: IsolatedJob<T>, limits: JobLimits): Promise<T>;
  /** Announces that a job of this module is likely, so that its dependencies can be preloaded. */
  prepare?(module: string): void;
}

/** A call of a function by name, with input that can be copied to another thread. */
export interface IsolatedJob<T> {
  /** URL of the module that exports the function and, if it has something to preload, `prepare`. */
  readonly module: string;
  readonly name: string;
  readonly input: readonly unknown[];
  /** Buffers of the input that are transferred to the other thread instead of copied. Default: none. */
  readonly moved?: readonly ArrayBuffer[];
  /** Name of the input in errors. */
  readonly where: string;
  /** The work in errors, and what to do if it takes too long; default: reading a file, which is probably damaged. */
  readonly work?: { readonly name: string; readonly remedy: string };
  /** Type of the function's result; never set. */
  readonly returns?: T;
}

/** Limits of an isolated job; reaching one ends it with a FormatError. */
export interface JobLimits {
  readonly timeMs: number;
  /** Limit for each WebAssembly memory, or for the process. */
  readonly memoryBytes: number;
}

/** The engine that runs a session, and the reasons for its choice. */
export interface EngineReport {
  /** Its name and version. */
  readonly name: string;
  readonly device: Device;
  readonly threads: number;
  /** Sentences: the choice of engine and threads, and how to get more. */
  readonly reasons: readonly string[];
  /** Duration of a run on one image, measured when it was loaded; undefined for networks of other inputs. */
  readonly runMs: number | undefined;
}

/** A loaded model, ready to run. Release it with `dispose()`. */
export interface Session {
  /** Set where an engine is chosen for the user: in browsers. It changes when a device is replaced. */
  readonly report?: EngineReport | undefined;
  /** Axes of the outputs by name, as far as the engine knows them before a run; a string names an axis of any size. */
  readonly outputShapes?: ReadonlyMap<string, readonly (number | string)[]> | undefined;
  /** Computes all outputs, each in its own memory, from one tensor for each input of the model. */
  run(feeds: Tensors, options?: RunOptions): Promise<Tensors>;
  /**
   * Like `run`, but inputs may be in device memory, and the outputs named in `keep` stay there. Undefined if the engine
   * does not support it.
   */
  runOnDevice?(feeds: DeviceFeeds): Promise<DeviceResults>;
  /** Stops profiling, if it was on, and returns the events the engine recorded. */
  endProfiling(): Promise<readonly ProfileEvent[]>;
  /** Frees the engine's memory; calling it again does nothing. */
  dispose(): Promise<void>;
}

/** Where something runs: a platform, and options for its engine. */
export interface OnPlatform {
  readonly platform: Platform;
  readonly session?: SessionOptions | undefined;
}

/** Tensors by the name of the input or output. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** A float32 tensor in device memory, readable only by sessions on that device. It stays until released. */
export interface DeviceTensor {
  readonly device: Device;
  readonly shape: readonly number[];
  /** Releases its memory. */
  dispose(): void;
}

/** Inputs by name, in main memory or on the device. */
export type DeviceFeeds = Readonly<Record<string, Tensor | DeviceTensor>>;

/** Outputs by name: those copied to the CPU, and those that stayed on the device. */
export interface DeviceResults {
  readonly tensors: Tensors;
  readonly kept: Readonly<Record<string, DeviceTensor>>;
}

/**
 * The device the engine computes on: the CPU with native code or in WebAssembly, or a GPU through WebGPU (any maker's),
 * CUDA or TensorRT (NVIDIA), DirectML (Windows) or Core ML (macOS).
 */
export const devices = ["cpu", "wasm", "webgpu", "cuda", "tensorrt", "dml", "coreml"] as const;
/** A device of {@link devices}. */
export type Device = (typeof devices)[number];

/** Availability of a device. */
export interface DeviceStatus {
  readonly device: Device;
  readonly available: boolean;
  /** Reason that it is not available, as reported by the engine. */
  readonly reason?: string;
}

/** Device and precision that a model is compiled for. */
export interface CompileTarget {
  readonly device: Device;
  /** Type of the numbers that it computes with; default `float32`. */
  readonly precision?: "float32" | "float16" | undefined;
}

/** Returns the device that a network is compiled for before the engine gets it. */
export function deviceFor(
  { defaultDevice, choosesDevice = false }: Engine,
  { device }: Pick<SessionOptions, "device"> = {},
): Device {
  return device === undefined || device === "fastest" || choosesDevice ? defaultDevice : device;
}

/** Options of a session. */
export interface SessionOptions {
  /**
   * Default: the engine's `defaultDevice`. Operators that a device lacks run on the CPU. In browsers, `webgpu` is replaced by `wasm`
   * where there is no GPU, or one that computes wrong values; `fastest` measures both.
   */
  readonly device?: Device | "fastest" | undefined;
  /** Compiles the model for another device, for engines that choose one; added by the functions that load networks. */
  readonly compileFor?: ((target: CompileTarget) => Promise<Uint8Array>) | undefined;
  /** Threads inside one operator; default: one for each core. */
  readonly threads?: number | undefined;
  /** Lets the engine fold and fuse operators, and choose their layout; default true. */
  readonly optimize?: boolean;
  /** The session will run once: on CPUs, optimizing a model file would take longer than it saves. Default false. */
  readonly once?: boolean;
  /** Records how long each operator takes. */
  readonly profile?: boolean;
  /** Outputs that `runOnDevice` leaves on the device, if possible. */
  readonly keep?: readonly string[];
  /**
   * For models of unknown origin: runs the model in a process of its own, which is ended when loading it or one run exceeds
   * the limits, or when a signal fires. Browsers ignore it.
   */
  readonly isolation?: SessionIsolation | undefined;
  /** Stops loading with an {@link AbortedError}, if the session is isolated. */
  readonly signal?: AbortSignal | undefined;
}

/** Limits of an isolated session; reaching one is a FormatError. */
export interface SessionIsolation extends JobLimits {
  /** Name of the model in errors. */
  readonly where: string;
}

/** Options of {@link Session.run}. */
export interface RunOptions {
  /** Stops the run with an {@link AbortedError}, if the session is isolated; another run may follow. */
  readonly signal?: AbortSignal | undefined;
}

/** Duration of one run of an operator. */
export interface ProfileEvent {
  readonly operator: string;
  readonly node: string;
  readonly durationMs: number;
}

/** A file: its path, its URL, or its bytes. */
export type FileSource = string | URL | Blob | ArrayBuffer | Uint8Array;

/** A file with its name, as a browser's user chooses it. */
export type NamedFile = Blob & { readonly name: string };

/** A file; or files, the first of which refers to the others by their names: a model of TensorFlow.js. */
export type Source = FileSource | readonly NamedFile[];

/** Kinds of images that only one platform knows, by its name; it adds them itself. */
// biome-ignore lint/suspicious/noEmptyInterface: an interface can be extended by other modules.
export interface PlatformImages {}

/** An image that every platform knows: a file (JPEG, PNG …), or pixels. */
export type PortableImage = FileSource | RgbImage;

/** An image: a file, pixels, or in a browser an image of the page. */
export type ImageSource = PortableImage | PlatformImages[keyof PlatformImages];

/** Contents of a folder, recursively, in no particular order; hidden files included. */
export interface FolderListing {
  /** The folder, as the caller named it. */
  readonly path: string;
  /** Names of the folders directly in it, including empty ones. */
  readonly folders: readonly string[];
  /** Paths of all files, relative to the folder, with `/` as the separator. */
  readonly files: readonly string[];
}

/**
 * Processes that work together, each on its share (MPI). Every rank must make the same calls in the same order; a call
 * returns once all ranks have made it.
 */
export interface Communicator {
  /** Rank of this process, from 0. */
  readonly rank: number;
  /** Number of processes. */
  readonly size: number;
  /**
   * Replaces each element by its sum over all ranks. All ranks pass the same number of elements and get identical bits.
   */
  sum(values: Float32Array): void;
  /** Replaces the bytes by those of rank 0. All ranks pass the same number of bytes. */
  broadcast(bytes: Uint8Array): void;
  /** Terminates all ranks immediately, including this one: for errors the others cannot detect. */
  abort(exitCode: number): void;
  /** Shuts down; every rank must call it last. */
  dispose(): void;
}

/** Pixels in rows from the top, three bytes (red, green, blue) each. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** Decode options that request a size. */
export type SizedDecodeOptions = DecodeOptions & { readonly width: number; readonly height: number };
/** Resizes an image to exactly the requested size. */
export type DecodeToSize = (source: ImageSource, options: SizedDecodeOptions) => Promise<RgbImage>;

/** Limits of images. */
export interface ImageLimits {
  /** Largest number of pixels that a file may declare; default 100 million. Guards against decompression bombs. */
  readonly pixelLimit?: number | undefined;
}

/** Options of image decoding. */
export interface DecodeOptions extends ImageLimits {
  /** Target width; set together with `height`, or leave both out for the image's own size. */
  readonly width?: number;
  readonly height?: number;
  /**
   * Without width and height: an image that decodes faster at a half, a quarter or an eighth of its size (JPEG) may be
   * reduced to that, but not below this size. Default: full size.
   */
  readonly atLeast?: { readonly width: number; readonly height: number };
  /**
   * `fill` stretches to the size, as Keras's `load_img(target_size)`; `cover` keeps the proportions and crops the
   * overhang at the center; `contain` keeps them and fills the rest with the background. Default `fill`.
   */
  readonly fit?: "fill" | "cover" | "contain";
  /** Background of transparent pixels, `[red, green, blue]` from 0 to 255; default white. */
  readonly background?: readonly [number, number, number];
  /** Stops with an {@link AbortedError}, where decoding can be stopped: in Node an image of more than 24 megapixels. */
  readonly signal?: AbortSignal | undefined;
  /** Longest time that decoding may take; default 60 seconds. */
  readonly secondsLimit?: number;
}
