import { FileError, FormatError } from "../../errors.ts";
import type { TfjsGroup } from "./manifest.ts";
import { byteLengthOf } from "./values.ts";

/**
 * Reads a file that stands beside a `model.json`.
 * @throws {FileError} it is not there.
 */
export type ReadShard = (path: string) => Promise<Uint8Array>;

/** The bytes of one weight; undefined where a file is not there that has a part of it. */
type WeightBytes = Uint8Array | undefined;

interface GroupBytes {
  /** One for each weight. */
  readonly weights: readonly WeightBytes[];
  /** Paths of the files that are not there. */
  readonly absent: readonly string[];
}

/** A file that is there, and where in its group it begins. */
interface Placed {
  readonly begin: number;
  readonly bytes: Uint8Array;
}

/**
 * The bytes of each weight of a group, whose files are one after the other a sequence of all its weights. A file that is
 * not there takes away only the weights that it has a part of.
 * @param where what errors call the model.
 * @throws {FormatError} the files hold more or fewer bytes than the group's weights.
 */
export async function readGroup({ paths, weights }: TfjsGroup, read: ReadShard, where: string): Promise<GroupBytes> {
  const files: WeightBytes[] = [];
  for (const path of paths) files.push(await readIfThere(path, read));
  const absent = paths.filter((_, index) => files[index] === undefined);

  const expected = weights.reduce((sum, weight) => sum + byteLengthOf(weight), 0);
  const received = files.reduce((sum, bytes) => sum + (bytes?.length ?? 0), 0);
  const possible = absent.length === 0 ? received === expected : received < expected;
  if (!possible || !Number.isSafeInteger(expected)) {
    throw new FormatError({
      where: `${where}, ${paths.length === 1 ? paths[0] : `${paths[0]} … ${paths.at(-1)}`}`,
      what: "there are not as many bytes as the weights take",
      received,
      expected: `${absent.length === 0 ? "" : "less than "}${expected}`,
      remedy: "Were files cut short, or do they belong to another model?",
    });
  }
  const placed = placedFiles(files, expected);
  let end = 0;
  const bytes = weights.map((weight) => {
    const begin = end;
    end += byteLengthOf(weight);
    return cut(placed, begin, end);
  });
  return { weights: bytes, absent };
}

async function readIfThere(path: string, read: ReadShard): Promise<WeightBytes> {
  try {
    return await read(path);
  } catch (error) {
    if (error instanceof FileError) return undefined;
    throw error;
  }
}

/** Only sizes of files tell where they begin: from the front up to the first gap, from the end back to the last. */
function placedFiles(files: readonly WeightBytes[], size: number): Placed[] {
  const placed: Placed[] = [];
  let begin = 0;
  for (const bytes of files) {
    if (!bytes) break;
    placed.push({ begin, bytes });
    begin += bytes.length;
  }
  if (placed.length === files.length) return placed;
  let end = size;
  for (const bytes of files.toReversed()) {
    if (!bytes) break;
    end -= bytes.length;
    placed.push({ begin: end, bytes });
  }
  return placed.sort((a, b) => a.begin - b.begin);
}

function cut(files: readonly Placed[], begin: number, end: number): WeightBytes {
  const pieces: Uint8Array[] = [];
  let position = begin;
  for (const file of files) {
    if (position < file.begin || position >= Math.min(end, file.begin + file.bytes.length)) continue;
    const piece = file.bytes.subarray(position - file.begin, end - file.begin);
    pieces.push(piece);
    position += piece.length;
  }
  if (position < end) return undefined;
  return pieces.length === 1 ? pieces[0] : joined(pieces, end - begin);
}

function joined(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const piece of pieces) {
    whole.set(piece, offset);
    offset += piece.length;
  }
  return whole;
}
