/**
 * Reads TensorFlow's event files as TensorBoard does, written from their description and sharing nothing with what writes them:
 * records of a length, its masked CRC-32C, an event, its masked CRC-32C; events in protocol buffers' wire format.
 * @see https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
 * @see https://protobuf.dev/programming-guides/encoding/
 */

export interface TensorBoardEvent {
  readonly wallTime: number;
  readonly step: number;
  readonly fileVersion?: string;
  /** 1: a training begins or goes on; TensorBoard then forgets this step and all after it. */
  readonly sessionStatus?: number;
  /** What its scalars dashboard shows, by tag. */
  readonly scalars: readonly (readonly [tag: string, value: number])[];
}

type Field = readonly [number: number, value: bigint | number | Buffer];

/** @throws {Error} at the first byte that is not as described, or a field that TensorBoard would not show. */
export function readEventFile(bytes: Uint8Array): readonly TensorBoardEvent[] {
  const file = Buffer.from(bytes);
  const events: TensorBoardEvent[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    expectSum(file.subarray(at, at + 8), file.readUInt32LE(at + 8), at);
    const data = file.subarray(at + 12, at + 12 + length);
    expectSum(data, file.readUInt32LE(at + 12 + length), at);
    events.push(eventOf(data));
    at += 16 + length;
  }
  return events;
}

function eventOf(data: Buffer): TensorBoardEvent {
  let event: TensorBoardEvent = { wallTime: 0, step: 0, scalars: [] };
  for (const [number, value] of fieldsOf(data)) {
    if (number === 1) event = { ...event, wallTime: value as number };
    else if (number === 2) event = { ...event, step: Number(value) };
    else if (number === 3) event = { ...event, fileVersion: String(value) };
    else if (number === 5) event = { ...event, scalars: fieldsOf(value as Buffer).map(scalarOf) };
    else if (number === 7) event = { ...event, sessionStatus: Number(fieldsOf(value as Buffer)[0]![1]) };
    else throw new Error(`field ${number} of an event`);
  }
  return event;
}

function scalarOf([number, value]: Field): readonly [string, number] {
  if (number !== 1) throw new Error(`field ${number} of a summary`);
  const parts = new Map(fieldsOf(value as Buffer));
  const [tag, simpleValue, ...others] = [parts.get(1), parts.get(2) ?? 0, ...parts.keys()];
  if (others.some((each) => each > 2)) throw new Error(`fields ${others} of a value`);
  return [String(tag), simpleValue as number];
}

function fieldsOf(data: Buffer): readonly Field[] {
  const fields: Field[] = [];
  let at = 0;
  const take = (count: number) => {
    if (at + count > data.length) throw new Error(`a field is cut short at ${at}`);
    at += count;
    return data.subarray(at - count, at);
  };
  const variableInteger = () => {
    let result = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const [byte] = take(1) as unknown as [number];
      result |= BigInt(byte & 127) << shift;
      if (byte < 128) return result;
    }
  };
  const readers: Readonly<Record<number, () => Field[1]>> = {
    0: variableInteger,
    1: () => take(8).readDoubleLE(),
    2: () => take(Number(variableInteger())),
    5: () => take(4).readFloatLE(),
  };
  while (at < data.length) {
    const key = Number(variableInteger());
    const read = readers[key & 7];
    if (!read) throw new Error(`wire type ${key & 7}`);
    fields.push([key >> 3, read()]);
  }
  return fields;
}

function expectSum(data: Buffer, stored: number, at: number): void {
  let rest = 0xffffffffn;
  for (const byte of data) {
    rest ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) rest = (rest >> 1n) ^ (rest & 1n ? 0x82f63b78n : 0n);
  }
  const sum = rest ^ 0xffffffffn;
  const rotated = ((sum >> 15n) | (sum << 17n)) & 0xffffffffn;
  const masked = Number((rotated + 0xa282ead8n) & 0xffffffffn);
  if (masked !== stored) throw new Error(`checksum ${stored} at ${at}, not ${masked}`);
}
