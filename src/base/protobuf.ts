import { type WireReader, wireTypes } from "./wire.ts";

/**
 * Fields of a protobuf message by name: number, kind, and whether it is repeated. As in proto3, fields with their default value
 * are not written, and are undefined when read.
 */
export type MessageFields = Readonly<Record<string, Field>>;
type Field = readonly [id: number, kind: Scalar | MessageFields, repeated?: "repeated"];
type Scalar = keyof typeof scalars;

/** Fields by name. */
export type Message = Record<string, unknown>;

/** Options of {@link decodeMessage}. */
export interface DecodeMessageOptions {
  /**
   * Keeps what is needed to encode the message again: unknown fields, and integers that a number cannot represent. Default: the
   * former are dropped, the latter rounded.
   */
  readonly whole?: boolean;
}

const { varint, fixed64, fixed32, delimited } = wireTypes;

/** Wire type of each kind; numbers may be packed. */
export const scalars = {
  string: delimited,
  bytes: delimited,
  int32: varint,
  int64: varint,
  float: fixed32,
  double: fixed64,
} as const;

/** Key of unknown fields, hidden from everything that lists or compares fields. */
export const unknownFields: unique symbol = Symbol("unknown fields");

/**
 * Decodes a message of a schema; bytes are not copied.
 * @param reader if decoding fails, its position is that of the damage.
 * @throws {Error} the bytes are not such a message.
 */
export function decodeMessage(
  fields: MessageFields,
  reader: WireReader,
  { whole = false }: DecodeMessageOptions = {},
): object {
  return read(fields, reader, reader.end, whole, {});
}

/** Returns whether a value is its type's default, which is not written. */
export function isDefault(value: unknown): boolean {
  if (typeof value === "number") return Object.is(value, 0);
  return typeof value === "string" || value instanceof Uint8Array ? value.length === 0 : false;
}

function read(fields: MessageFields, reader: WireReader, end: number, whole: boolean, message: Message): Message {
  const outerEnd = reader.end;
  if (end > outerEnd) throw new RangeError("index out of range");
  reader.end = end;
  const named = arranged(fields).byId;
  while (reader.position < end) {
    const start = reader.position;
    const tag = reader.uint32();
    if (tag >>> 3 === 0) throw new RangeError("invalid field number 0");
    const field = named.get(tag >>> 3);
    if (field !== undefined && readField(field, tag & 7, reader, whole, message)) continue;
    reader.skip(tag & 7);
    if (whole) keepUnknown(message, reader.source.subarray(start, reader.position));
  }
  if (reader.position !== end) throw new RangeError("index out of range");
  reader.end = outerEnd;
  return message;
}

/** Reads the field's value; returns false if it has another wire type. */
function readField(
  [name, [, kind, repeated]]: NamedField,
  wire: number,
  reader: WireReader,
  whole: boolean,
  message: Message,
): boolean {
  if (typeof kind === "object") {
    if (wire !== delimited) return false;
    const end = reader.uint32() + reader.position;
    if (repeated) listIn(message, name).push(read(kind, reader, end, whole, {}));
    // Parts of one message may be apart.
    else message[name] = read(kind, reader, end, whole, (message[name] as Message | undefined) ?? {});
    return true;
  }
  const next = () => (whole || kind !== "int64" ? reader[kind]() : Number(reader.int64()));
  if (repeated && scalars[kind] !== delimited && wire === delimited) {
    const end = reader.uint32() + reader.position;
    if (end > reader.end) throw new RangeError("index out of range");
    const values = listIn(message, name);
    while (reader.position < end) values.push(next());
    if (reader.position !== end) throw new RangeError("index out of range");
    return true;
  }
  if (wire !== scalars[kind]) return false;
  if (repeated) listIn(message, name).push(next());
  else {
    const value = next();
    // A later default replaces an earlier value.
    if (isDefault(value)) delete message[name];
    else message[name] = value;
  }
  return true;
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

/** Arranges the fields of a message, once. */
export function arranged(fields: MessageFields): Arranged {
  const found = known.get(fields);
  if (found) return found;
  const sorted = Object.entries(fields).sort(([, [a]], [, [b]]) => a - b);
  const made = { sorted, byId: new Map(sorted.map((each) => [each[1][0], each])) };
  known.set(fields, made);
  return made;
}
