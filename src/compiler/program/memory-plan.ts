/** A part of the memory for a value that is computed. */
export interface Buffer {
  readonly bytes: number;
  /** Keeps its place for the whole run: inputs and outputs. */
  isKept: boolean;
}

/** The buffers that a step reads and writes. */
export interface BufferUse {
  readonly buffers: readonly Buffer[];
}

const alignment = 64;

/** Rounds a size in bytes up to whole cache lines. */
export function aligned(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

/**
 * Places buffers so that those in use at the same time do not overlap: each gets the lowest gap that is large enough, from its
 * first use to its last; the largest first.
 * @param start address of the first.
 * @returns their addresses, and the end of the last.
 */
export function planMemory(steps: readonly BufferUse[], start: number) {
  const lives = new Map<Buffer, { first: number; last: number }>();
  for (const [index, { buffers }] of steps.entries()) {
    for (const buffer of buffers) {
      const life = lives.get(buffer);
      if (life) life.last = index;
      else lives.set(buffer, { first: buffer.isKept ? 0 : index, last: buffer.isKept ? steps.length : index });
      if (buffer.isKept) lives.get(buffer)!.last = steps.length;
    }
  }
  const placed: { readonly from: number; readonly to: number; readonly first: number; readonly last: number }[] = [];
  const addresses = new Map<Buffer, number>();
  for (const [buffer, life] of [...lives].sort(([a], [b]) => b.bytes - a.bytes)) {
    let from = start;
    for (const other of placed) {
      const meets = other.first <= life.last && life.first <= other.last;
      if (meets && other.from < from + aligned(buffer.bytes)) from = Math.max(from, other.to);
    }
    placed.push({ from, to: from + aligned(buffer.bytes), ...life });
    placed.sort((a, b) => a.from - b.from);
    addresses.set(buffer, from);
  }
  return { addresses, end: Math.max(start, ...placed.map(({ to }) => to)) };
}
