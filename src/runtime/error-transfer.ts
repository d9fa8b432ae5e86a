import * as errors from "../base/errors.ts";

/** An error that can be sent to another thread or process: one of this package by its code, any other by its message. */
export interface PackedError {
  readonly failure: errors.ErrorCode | undefined;
  readonly parts: errors.ErrorParts;
  /** Second argument of the error's constructor. */
  readonly details?: object | undefined;
}

/** Describes an error for another thread or process. */
export function packError(error: unknown): PackedError {
  if (error instanceof errors.XceptionError) {
    return { failure: error.code, parts: error.parts, details: detailsOf(error) };
  }
  return { failure: undefined, parts: { where: "", what: errors.messageOf(error) } };
}

function detailsOf(error: errors.XceptionError): object | undefined {
  if (error instanceof errors.FileError) return { isMissing: error.isMissing };
  return error instanceof errors.WeightsError ? error.differences : undefined;
}

/** Returns the error that was described, with its class. */
export function unpackError({ failure, parts, details }: PackedError): Error {
  if (failure === undefined) return new Error(parts.what);
  return new classes[failure](parts, details as never);
}

const classes: Readonly<
  Record<errors.ErrorCode, new (parts: errors.ErrorParts, details?: never) => errors.XceptionError>
> = {
  SHAPE: errors.ShapeError,
  GRAPH: errors.GraphError,
  FORMAT: errors.FormatError,
  FILE: errors.FileError,
  WEIGHTS: errors.WeightsError,
  DATA: errors.DataError,
  TRAINING: errors.TrainingError,
  VERIFICATION: errors.VerificationError,
  ABORTED: errors.AbortedError,
  RUNTIME_UNAVAILABLE: errors.RuntimeUnavailableError,
  USAGE: errors.UsageError,
};
