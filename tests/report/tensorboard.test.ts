import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { firstRecord, readEvents, restartRecord, scalarRecord } from "../../src/report/tensorboard.ts";
import { readEventFile } from "../oracles/event-file.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const join = (...parts: readonly Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));

// Put together by hand, the checksums by another program: a division bit by bit in Python.
describe("a record of an event file", () => {
  it("of the version", () => {
    // 24 bytes; field 1 (double) 1.0; field 3 (text) of 13 bytes.
    expect(hex(firstRecord(1))).toBe(
      "1800000000000000a37f4b2209000000000000f03f1a0d627261696e2e4576656e743a3286bf577a",
    );
  });

  it("of numbers", () => {
    // Field 1 is 2.0; field 2 is 300 = 0xac 0x02; field 5 holds a field 1 with the tag and a field 2 (0x15), a float.
    expect(hex(scalarRecord({ wallTime: 2, step: 300, scalars: { "loss/step": 0.5 } }))).toBe(
      "200000000000000029eda95009000000000000004010ac022a120a100a096c6f73732f73746570150000003fc2d75a71",
    );
  });

  it("of a training that goes on", () => {
    expect(hex(restartRecord(3, 7))).toBe("0f000000000000006d532b0909000000000000084010073a02080167edf0c3");
  });
});

it("any numbers are what another reader finds", () => {
  const tags = fc.dictionary(fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }), fc.float({ noNaN: true }), {
    maxKeys: 4,
  });
  const event = fc.record({ wallTime: fc.double({ min: 1, noNaN: true }), step: fc.nat(2 ** 40), scalars: tags });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 5 }), (events) => {
      const read = readEventFile(join(...events.map(scalarRecord)));
      expect(read).toEqual(events.map((each) => ({ ...each, scalars: Object.entries(each.scalars) })));
    }),
  );
});

describe("reading events", () => {
  const parts = [
    firstRecord(1),
    scalarRecord({ wallTime: 2, step: 1, scalars: { a: 1, "b/c": 0 } }),
    restartRecord(3, 2),
    scalarRecord({ wallTime: 4, step: 2, scalars: { a: -0.5 } }),
  ];
  const bytes = join(...parts);
  const ends = parts.map((_, index) => parts.slice(0, index + 1).reduce((sum, part) => sum + part.length, 0));

  it("gives what was written", () => {
    expect(readEvents(bytes)).toEqual([
      { step: 0, scalars: {}, end: ends[0] },
      { step: 1, scalars: { a: 1, "b/c": 0 }, end: ends[1] },
      { step: 2, scalars: {}, end: ends[2] },
      { step: 2, scalars: { a: -0.5 }, end: ends[3] },
    ]);
  });

  it("stops at what is cut short, wherever", () => {
    for (let length = 0; length < bytes.length; length++) {
      const whole = ends.filter((end) => end <= length).length;
      expect(readEvents(bytes.subarray(0, length))).toHaveLength(whole);
    }
  });

  it("stops at what is damaged, and is stopped by nothing", () => {
    const place = fc.nat(bytes.length - 1);
    fc.assert(
      fc.property(place, fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = bytes.slice();
        damaged[at]! ^= change;
        expect(readEvents(damaged)).toHaveLength(ends.filter((end) => end <= at).length);
      }),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (random) => readEvents(random).length === 0));
  });
});
