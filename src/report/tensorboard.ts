import { crc32c } from "../base/checksums.ts";
import { decodeMessage, type MessageFields } from "../base/protobuf.ts";
import { encodeMessage } from "../base/protobuf-writer.ts";
import { WireReader } from "../base/wire.ts";

/**
 * The parts of TensorFlow's event files in use.
 * @see https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/core/util/event.proto and framework/summary.proto
 */
const eventFields: MessageFields = {
  wall_time: [1, "double"],
  step: [2, "int64"],
  file_version: [3, "string"],
  summary: [5, { value: [1, { tag: [1, "string"], simple_value: [2, "float"] }, "repeated"] }],
  session_log: [7, { status: [1, "int32"] }],
};

/** Scalars at one step of a training run. */
export interface ScalarEvent {
  /** Seconds since 1970. */
  readonly wallTime: number;
  readonly step: number;
  /** By tag, e.g. `loss/training`: TensorBoard groups by the prefix before the slash. */
  readonly scalars: Readonly<Record<string, number>>;
}

/** A complete record; without scalars if it has none. */
interface StoredEvent extends Omit<ScalarEvent, "wallTime"> {
  /** Offset of the byte after it. */
  readonly end: number;
}

/** Encodes the first record of every event file. */
export function firstRecord(wallTime: number): Uint8Array {
  return record({ wall_time: wallTime, file_version: "brain.Event:2" });
}

/** Encodes a restart of training at `step`: readers discard earlier records from this step on. */
export function restartRecord(wallTime: number, step: number): Uint8Array {
  return record({ wall_time: wallTime, step, session_log: { status: 1 } });
}

/** Encodes scalars. */
export function scalarRecord({ wallTime, step, scalars }: ScalarEvent): Uint8Array {
  const value = Object.entries(scalars).map(([tag, simple_value]) => ({ tag, simple_value }));
  return record({ wall_time: wallTime, step, summary: { value } });
}

/** Decodes the records of a file up to the first one that is damaged or incomplete. */
export function readEvents(bytes: Uint8Array): readonly StoredEvent[] {
  const events: StoredEvent[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let start = 0; start + 16 <= bytes.length; ) {
    const length = Number(view.getBigUint64(start, true));
    const end = start + 16 + length;
    if (view.getUint32(start + 8, true) !== maskedSum(bytes.subarray(start, start + 8)) || end > bytes.length) break;
    const data = bytes.subarray(start + 12, end - 4);
    if (view.getUint32(end - 4, true) !== maskedSum(data)) break;
    events.push({ ...decode(data), end });
    start = end;
  }
  return events;
}

function decode(data: Uint8Array): Omit<StoredEvent, "end"> {
  const event = decodeMessage(eventFields, new WireReader(data)) as {
    readonly step?: number;
    readonly summary?: { readonly value?: readonly { readonly tag: string; readonly simple_value?: number }[] };
  };
  const values = event.summary?.value ?? [];
  return {
    step: event.step ?? 0,
    scalars: Object.fromEntries(values.map(({ tag, simple_value = 0 }) => [tag, simple_value])),
  };
}

/** Encodes a record: length, its checksum, event, its checksum; little-endian. */
function record(event: Record<string, unknown>): Uint8Array {
  const data = encodeMessage(eventFields, event);
  const bytes = new Uint8Array(data.length + 16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedSum(bytes.subarray(0, 8)), true);
  bytes.set(data, 12);
  view.setUint32(bytes.length - 4, maskedSum(data), true);
  return bytes;
}

/** Masks a checksum as TensorFlow does, since the CRC of data that contains its own CRC is problematic. */
function maskedSum(bytes: Uint8Array): number {
  const sum = crc32c(bytes);
  return (((sum >>> 15) | (sum << 17)) + 0xa282ead8) >>> 0;
}
