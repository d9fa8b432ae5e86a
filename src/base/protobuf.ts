import protobuf from "protobufjs/minimal.js";

/**
 * Fields of a protobuf message by name: number, kind, and whether it is repeated. As in proto3, fields with their default value
 * are not written, and are undefined when read.
 */
export type MessageFields = Readonly<Record<string, Field>>;
type Field = readonly [id: number, kind: Scalar | MessageFields, repeated?: "repeated"];
type Scalar = keyof typeof scalars;

/** An integer of 64 bits that a number cannot represent. */
interface Long {
  readonly low: number;
  readonly high: number;
}

/** Position in encoded bytes. */
export type MessageReader = protobuf.Reader;
type Reader = MessageReader;
type Writer = protobuf.Writer;
type Message = Record<string, unknown>;

/** Options of {@link decodeMessage}. */
export interface DecodeMessageOptions {
  /**
   * Keeps what is needed to encode the message again: unknown fields, and integers that a number cannot represent. Default: the
   * former are dropped, the latter rounded.
   */
  readonly whole?: boolean;
}

/** Wire types. */
const [varint, fixed64, delimited, fixed32] = [0, 1, 2, 5];

/** Reading and writing of each kind; numbers may be packed. */
const scalars = {
  string: { wire: delimited, read: (reader: Reader): unknown => reader.stringVerify(), isPackable: false },
  bytes: { wire: delimited, read: (reader: Reader): unknown => reader.bytes(), isPackable: false },
  int32: { wire: varint, read: (reader: Reader): unknown => reader.int32(), isPackable: true },
  int64: { wire: varint, read: (reader: Reader): unknown => reader.int64(), isPackable: true },
  float: { wire: fixed32, read: (reader: Reader): unknown => reader.float(), isPackable: true },
  double: { wire: fixed64, read: (reader: Reader): unknown => reader.double(), isPackable: true },
} as const;

/** Key of unknown fields, hidden from everything that lists or compares fields. */
const unknownFields = Symbol("unknown fields");

/** Encodes a message of a schema. */
export function encodeMessage(fields: MessageFields, message: object): Uint8Array {
  const bytes = write(fields, message as Message, protobuf.Writer.create()).finish();
  // In Node this is a `Buffer`, whose `slice` behaves differently.
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Starts reading encoded bytes. */
export function messageReader(bytes: Uint8Array): MessageReader {
  return protobuf.Reader.create(bytes);
}

/**
 * Decodes a message of a schema; bytes are not copied.
 * @param reader if decoding fails, its position is that of the damage.
 * @throws {Error} the bytes are not such a message.
 */
export function decodeMessage(
  fields: MessageFields,
  reader: Reader,
  { whole = false }: DecodeMessageOptions = {},
): object {
  return read(fields, reader, reader.len, whole, {});
}

function write(fields: MessageFields, message: Message, writer: Writer): Writer {
  for (const [name, [id, kind, repeated]] of arranged(fields).sorted) {
    const value = message[name];
    if (value === undefined || value === null) continue;
    if (typeof kind === "object") {
      for (const each of repeated ? (value as readonly Message[]) : [value as Message]) {
        write(kind, each, writer.uint32((id << 3) | delimited).fork()).ldelim();
      }
    } else if (!repeated) {
      if (!isDefault(value)) writeScalar(writer.uint32((id << 3) | scalars[kind].wire), kind, value);
    } else if (!scalars[kind].isPackable) {
      for (const each of value as readonly unknown[]) {
        writeScalar(writer.uint32((id << 3) | scalars[kind].wire), kind, each);
      }
    } else if ((value as readonly unknown[]).length > 0) {
      writer.uint32((id << 3) | delimited).fork();
      for (const each of value as readonly unknown[]) writeScalar(writer, kind, each);
      writer.ldelim();
    }
  }
  for (const each of (message as { [unknownFields]?: readonly Uint8Array[] })[unknownFields] ?? []) {
    writer.raw(each);
  }
  return writer;
}

function writeScalar(writer: Writer, kind: Scalar, value: unknown): void {
  writer[kind](value as never);
}

function isDefault(value: unknown): boolean {
  if (typeof value === "number") return Object.is(value, 0);
  return typeof value === "string" || value instanceof Uint8Array ? value.length === 0 : false;
}

function read(fields: MessageFields, reader: Reader, end: number, whole: boolean, message: Message): Message {
  const outerEnd = reader.len;
  if (end > outerEnd) throw new RangeError("index out of range");
  reader.len = end;
  const named = arranged(fields).byId;
  while (reader.pos < end) {
    const start = reader.pos;
    const tag = reader.tag();
    const field = named.get(tag >>> 3);
    if (field !== undefined && readField(field, tag & 7, reader, whole, message)) continue;
    reader.skipType(tag & 7);
    if (whole) keepUnknown(message, reader.buf.subarray(start, reader.pos));
  }
  if (reader.pos !== end) throw new RangeError("index out of range");
  reader.len = outerEnd;
  return message;
}

/** Reads the field's value; returns false if it has another wire type. */
function readField(
  [name, [, kind, repeated]]: NamedField,
  wire: number,
  reader: Reader,
  whole: boolean,
  message: Message,
): boolean {
  if (typeof kind === "object") {
    if (wire !== delimited) return false;
    const end = reader.size() + reader.pos;
    if (repeated) listIn(message, name).push(read(kind, reader, end, whole, {}));
    // Parts of one message may be apart.
    else message[name] = read(kind, reader, end, whole, (message[name] as Message | undefined) ?? {});
    return true;
  }
  const scalar = scalars[kind];
  const next = () => (whole || kind !== "int64" ? scalar.read(reader) : Number(scalar.read(reader)));
  if (repeated && scalar.isPackable && wire === delimited) {
    const end = reader.size() + reader.pos;
    if (end > reader.len) throw new RangeError("index out of range");
    const values = listIn(message, name);
    while (reader.pos < end) values.push(next());
    if (reader.pos !== end) throw new RangeError("index out of range");
    return true;
  }
  if (wire !== scalar.wire) return false;
  if (repeated) listIn(message, name).push(next());
  else {
    const value = next();
    // A later default replaces an earlier value.
    if (isDefault(value) || isZero(value)) delete message[name];
    else message[name] = value;
  }
  return true;
}

function isZero(value: unknown): boolean {
  return (
    typeof value === "object" &&
    value !== null &&
    "low" in value &&
    (value as Long).low === 0 &&
    (value as Long).high === 0
  );
}

function listIn(message: Message, name: string): unknown[] {
  message[name] ??= [];
  return message[name] as unknown[];
}

function keepUnknown(message: Message, bytes: Uint8Array): void {
  const holder = message as { [unknownFields]?: Uint8Array[] };
  if (holder[unknownFields] === undefined) {
    Object.defineProperty(holder, unknownFields, { value: [], enumerable: false });
  }
  holder[unknownFields]!.push(bytes);
}

type NamedField = readonly [name: string, field: Field];

/** Fields of a message, arranged for writing and for reading. */
interface Arranged {
  readonly sorted: readonly NamedField[];
  readonly byId: ReadonlyMap<number, NamedField>;
}

const known = new WeakMap<MessageFields, Arranged>();

function arranged(fields: MessageFields): Arranged {
  const found = known.get(fields);
  if (found) return found;
  const sorted = Object.entries(fields).sort(([, [a]], [, [b]]) => a - b);
  const made = { sorted, byId: new Map(sorted.map((each) => [each[1][0], each])) };
  known.set(fields, made);
  return made;
}
