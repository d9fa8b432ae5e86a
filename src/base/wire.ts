/** Wire types of protobuf. @see https://protobuf.dev/programming-guides/encoding */
export const wireTypes = { varint: 0, fixed64: 1, delimited: 2, groupStart: 3, groupEnd: 4, fixed32: 5 } as const;

const encoder = new TextEncoder();
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

/** Encoded values, appended one by one; large parts are only copied by {@link finish}. */
export class WireWriter {
  readonly #parts: Uint8Array[] = [];
  #small: number[] = [];
  #length = 0;

  int32(value: number): void {
    this.int64(value);
  }

  /** An integer, a tag or a length; negative ones take ten bytes. */
  int64(value: number | bigint): void {
    let rest = value;
    if (typeof rest === "bigint" || rest < 0 || rest > 0x7fffffff) {
      let large = BigInt.asUintN(64, BigInt(rest));
      for (; large > 0x7fffffffn; large >>= 7n) this.#small.push(Number(large & 0x7fn) | 0x80);
      rest = Number(large);
    }
    for (; rest > 0x7f; rest >>>= 7) this.#small.push((rest & 0x7f) | 0x80);
    this.#small.push(rest);
  }

  float(value: number): void {
    this.#small.push(...new Uint8Array(littleEndian(4, (view) => view.setFloat32(0, value, true))));
  }

  double(value: number): void {
    this.#small.push(...new Uint8Array(littleEndian(8, (view) => view.setFloat64(0, value, true))));
  }

  /** Bytes or another writer's values, preceded by their length. */
  bytes(content: Uint8Array | WireWriter): void {
    if (content instanceof WireWriter) content.#flush();
    this.int64(content instanceof WireWriter ? content.#length : content.length);
    for (const part of content instanceof WireWriter ? content.#parts : [content]) this.raw(part);
  }

  string(text: string): void {
    this.bytes(encoder.encode(text));
  }

  /** Bytes that are encoded already. */
  raw(bytes: Uint8Array): void {
    this.#flush();
    this.#append(bytes);
  }

  finish(): Uint8Array {
    this.#flush();
    const bytes = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  #flush(): void {
    if (this.#small.length > 0) this.#append(Uint8Array.from(this.#small));
    this.#small = [];
  }

  #append(part: Uint8Array): void {
    this.#parts.push(part);
    this.#length += part.length;
  }
}

function littleEndian(bytes: number, write: (view: DataView) => void): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(bytes));
  write(view);
  return view.buffer;
}
