/** Wire types of protobuf. @see https://protobuf.dev/programming-guides/encoding */
export const wireTypes = { varint: 0, fixed64: 1, delimited: 2, groupStart: 3, groupEnd: 4, fixed32: 5 } as const;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** Groups are obsolete; a limit against hostile files. */
const deepestGroup = 100;

/**
 * Position in encoded bytes. Each method reads a value and moves behind it.
 * @throws {RangeError} the bytes end within the value, or it is malformed.
 */
export class WireReader {
  readonly source: Uint8Array;
  position = 0;
  /** End of the message that is read. */
  end: number;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.source = bytes;
    this.end = bytes.length;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** A tag or a length. */
  uint32(): number {
    const [low, high] = this.#varint();
    if (high !== 0) throw new RangeError("index out of range");
    return low;
  }

  int32(): number {
    return this.#varint()[0] | 0;
  }

  /** A number where it is exact, else a `bigint`. */
  int64(): number | bigint {
    const [low, high] = this.#varint();
    const signed = high | 0;
    const value = signed * 2 ** 32 + low;
    return Number.isSafeInteger(value) ? value : (BigInt(signed) << 32n) | BigInt(low);
  }

  float(): number {
    return this.#view.getFloat32(this.#advance(4), true);
  }

  double(): number {
    return this.#view.getFloat64(this.#advance(8), true);
  }

  /** Length-delimited bytes, not copied. */
  bytes(): Uint8Array {
    const length = this.uint32();
    const start = this.#advance(length);
    return this.source.subarray(start, start + length);
  }

  /** @throws {TypeError} it is not UTF-8. */
  string(): string {
    return decoder.decode(this.bytes());
  }

  /** Moves behind a value of a wire type. */
  skip(wireType: number, depth = 0): void {
    if (wireType === wireTypes.varint) this.#varint();
    else if (wireType === wireTypes.fixed64) this.#advance(8);
    else if (wireType === wireTypes.fixed32) this.#advance(4);
    else if (wireType === wireTypes.delimited) this.bytes();
    else if (wireType === wireTypes.groupStart && depth < deepestGroup) {
      for (let inner = this.uint32() & 7; inner !== wireTypes.groupEnd; inner = this.uint32() & 7) {
        this.skip(inner, depth + 1);
      }
    } else throw new RangeError(`invalid wire type ${wireType}`);
  }

  /** Unsigned halves of a varint. */
  #varint(): readonly [low: number, high: number] {
    let [low, high] = [0, 0];
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.source[this.#advance(1)]!;
      const bits = byte & 0x7f;
      if (shift < 32) low |= bits << shift;
      if (shift > 28) high |= bits << (shift - 32);
      else if (shift === 28) high |= bits >>> 4;
      if (byte < 0x80) return [low >>> 0, high >>> 0];
    }
    throw new RangeError("invalid varint");
  }

  /** Moves forward; returns the position before. */
  #advance(count: number): number {
    const start = this.position;
    if (count > this.end - start) throw new RangeError("index out of range");
    this.position += count;
    return start;
  }
}
