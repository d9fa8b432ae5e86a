import { printable } from "./printable.ts";

/** The parts of an error message, in the order in which every message is composed. */
export interface ErrorParts {
  /** The function, option, file or field at fault, e.g. `option --epochs` or `conv2d "block1_conv1"`. */
  readonly where: string;
  /** The problem, as a clause: `the value is not a positive integer`. */
  readonly what: string;
  readonly received?: unknown;
  /** The accepted values. */
  readonly expected?: string;
  /** The fix, as a sentence. */
  readonly remedy?: string;
  readonly cause?: unknown;
}

/** Machine-readable kind of an error, e.g. `FORMAT`. */
export type ErrorCode =
  | "SHAPE"
  | "GRAPH"
  | "FORMAT"
  | "FILE"
  | "WEIGHTS"
  | "DATA"
  | "TRAINING"
  | "VERIFICATION"
  | "ABORTED"
  | "RUNTIME_UNAVAILABLE"
  | "USAGE";

/** Base class of all errors thrown on purpose by this package; distinguish them by `code` or by class. */
export abstract class XceptionError extends Error {
  abstract readonly code: ErrorCode;

  readonly #parts: ErrorParts;

  constructor(parts: ErrorParts) {
    super(composeMessage(parts), parts.cause === undefined ? undefined : { cause: parts.cause });
    this.#parts = parts;
  }

  /** Name of the class, also where a bundler has shortened it. */
  override get name(): string {
    // Not yet set when the engine writes the stack.
    const words = (this.code ?? "").split("_").map((word) => word.slice(0, 1) + word.slice(1).toLowerCase());
    return `${words.join("")}Error`;
  }

  /** The parts of the message, for rethrowing with more context. */
  get parts(): Omit<ErrorParts, "cause"> {
    const { cause: _, ...parts } = this.#parts;
    return parts;
  }
}

/** Tensors or layers with incompatible shapes. */
export class ShapeError extends XceptionError {
  readonly code = "SHAPE";
}

/** A graph that breaks a rule: a duplicate name, an unknown input, a missing gradient. */
export class GraphError extends XceptionError {
  readonly code = "GRAPH";
}

/** A file or message that is not what it claims to be. */
export class FormatError extends XceptionError {
  readonly code = "FORMAT";
}

/** A file or folder that cannot be read or written: it is missing, or access is denied. */
export class FileError extends XceptionError {
  readonly code = "FILE";
  /** True if there is no such file; false for any other cause. */
  readonly isMissing: boolean;

  constructor(parts: ErrorParts, { isMissing = false }: { readonly isMissing?: boolean } = {}) {
    super(parts);
    this.isMissing = isMissing;
  }
}

/** Weights that do not belong to the network they are loaded into. */
export class WeightsError extends XceptionError {
  readonly code = "WEIGHTS";
  /** All differences, of which the message lists the first few; undefined if the error has another cause. */
  readonly differences: WeightDifferences | undefined;

  constructor(parts: ErrorParts, differences?: WeightDifferences) {
    super(parts);
    this.differences = differences;
  }
}

/** Differences between a set of weights and those of a network. */
export interface WeightDifferences {
  /** Weights of the network that are missing. */
  readonly missing: readonly string[];
  /** Weights that the network does not have. */
  readonly unexpected: readonly string[];
  /** Weights with different shapes, and both shapes. */
  readonly wrongShape: readonly string[];
}

/** A data set that cannot be used: no images, one class, unreadable. */
export class DataError extends XceptionError {
  readonly code = "DATA";
}

/** Training that cannot continue: the loss is NaN or infinite, or the run folder is in use. */
export class TrainingError extends XceptionError {
  readonly code = "TRAINING";
}

/** Results that differ from those of another tool by more than the tolerance. */
export class VerificationError extends XceptionError {
  readonly code = "VERIFICATION";
}

/** Work stopped because the caller's `AbortSignal` fired. */
export class AbortedError extends XceptionError {
  readonly code = "ABORTED";
}

/** The engine, or a requested part of it, is not available on this machine. */
export class RuntimeUnavailableError extends XceptionError {
  readonly code = "RUNTIME_UNAVAILABLE";
}

/** A wrong argument, option or flag: the caller's mistake, with the allowed values. */
export class UsageError extends XceptionError {
  readonly code = "USAGE";
}

/**
 * Stops work whose caller no longer wants it.
 * @param where the work, for the message.
 * @throws {AbortedError} the signal has fired.
 */
export function assertNotAborted(signal: AbortSignal | undefined, where = "prediction"): void {
  if (signal?.aborted) throw new AbortedError({ where, what: "it was stopped by the caller", cause: signal.reason });
}

/** The message of an error of any kind, to be part of another one. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Longest part of a message, in characters. */
const longestPart = 1200;

function composeMessage({ where, what, received, expected, remedy }: ErrorParts): string {
  let message = `${shortened(where)}: ${shortened(what)}`;
  if (received !== undefined) message += `; received ${shortened(show(received))}`;
  if (expected !== undefined) message += `; expected ${expected}`;
  if (!/[.!?]$/.test(message)) message += ".";
  return printable(remedy === undefined ? message : `${message} ${remedy}`);
}

/** Names from files can be of any length. */
function shortened(text: string): string {
  return text.length <= longestPart ? text : `${text.slice(0, longestPart)}…`;
}

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  if (typeof value === "object" && value !== null) return JSON.stringify(value);
  return String(value);
}
