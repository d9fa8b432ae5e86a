import type fc from "fast-check";
import { type ErrorCode, XceptionError } from "../../src/base/errors.ts";

/** What errors have to name. */
export const where = "the file";

/** A reader of files, and files for it that are damaged in every way that we could think of. */
export interface FuzzedReader {
  readonly name: string;
  readonly cases: () => Promise<fc.Arbitrary<unknown>>;
  /** Reads one of the cases, as far as it can be read. */
  readonly read: (content: never) => unknown;
  /** Codes of the errors that it may answer with; `FORMAT` and `WEIGHTS` if nothing is said. */
  readonly codes?: readonly ErrorCode[];
  /**
   * It uses a library that does not return from every file, and takes gigabytes for some; programs run it in a thread with
   * limits (`Platform.isolate`).
   */
  readonly isIsolated?: boolean;
}

/** Puts the type of cases and of what reads them together. */
export function reader<T>(
  name: string,
  cases: () => Promise<fc.Arbitrary<T>>,
  read: (content: T) => unknown,
  more: Pick<FuzzedReader, "codes" | "isIsolated"> = {},
): FuzzedReader {
  return { name, cases, read, ...more };
}

export type Outcome = "read" | "refused";

/** No message quotes whole files. */
const longestMessage = 4000;

/**
 * Whether a case was read, or refused as it should be.
 * @throws anything else that came out of it.
 */
export async function outcomeOf(
  { read, codes = ["FORMAT", "WEIGHTS"] }: FuzzedReader,
  content: unknown,
): Promise<Outcome> {
  try {
    await (read as (content: unknown) => unknown)(content);
    return "read";
  } catch (error) {
    if (!(error instanceof XceptionError) || !codes.includes(error.code)) throw error;
    const { message } = error;
    if (!message.includes(where)) throw new Error(`the message does not name the file: ${message.slice(0, 500)}`);
    if (message.length > longestMessage) throw new Error(`the message has ${message.length} characters`);
    return "refused";
  }
}
