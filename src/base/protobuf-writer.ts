import { arranged, isDefault, type Message, type MessageFields, scalars, unknownFields } from "./protobuf.ts";
import { wireTypes } from "./wire.ts";

const encoder = new TextEncoder();

/** Encodes a message of a schema. */
export function encodeMessage(fields: MessageFields, message: object): Uint8Array {
  return write(fields, message as Message).finish();
}

function write(fields: MessageFields, message: Message): WireWriter {
  const writer = new WireWriter();
  for (const [name, [id, kind, repeated]] of arranged(fields).sorted) {
    const value = message[name];
    if (value === undefined || value === null) continue;
    const values = repeated ? (value as readonly unknown[]) : [value];
    const tag = (wire: number) => writer.int64(id * 8 + wire);
    if (typeof kind === "object") {
      for (const each of values) {
        tag(wireTypes.delimited);
        writer.bytes(write(kind, each as Message));
      }
    } else if (repeated && scalars[kind] !== wireTypes.delimited) {
      if (values.length === 0) continue;
      const packed = new WireWriter();
      for (const each of values) packed[kind](each as never);
      tag(wireTypes.delimited);
      writer.bytes(packed);
    } else {
      for (const each of values) {
        if (!repeated && isDefault(each)) continue;
        tag(scalars[kind]);
        writer[kind](each as never);
      }
    }
  }
  for (const each of (message as { [unknownFields]?: readonly Uint8Array[] })[unknownFields] ?? []) {
    writer.raw(each);
  }
  return writer;
}

/** Encoded values, appended one by one; large parts are only copied by {@link finish}. */
class WireWriter {
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
