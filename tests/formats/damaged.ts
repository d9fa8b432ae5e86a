import fc from "fast-check";

/** What may happen to a file on its way: cut short, bytes overwritten, or cut and continued with anything. */
export function damaged(good: Uint8Array): fc.Arbitrary<Uint8Array> {
  const offset = fc.nat(good.length - 1);
  const cut = offset.map((end) => good.slice(0, end));
  const overwritten = fc
    .array(fc.record({ offset, bytes: fc.uint8Array({ minLength: 1, maxLength: 16 }) }), { minLength: 1, maxLength: 4 })
    .map((changes) => {
      const copy = good.slice();
      for (const { offset, bytes } of changes) copy.set(bytes.subarray(0, copy.length - offset), offset);
      return copy;
    });
  const continued = fc.tuple(offset, fc.uint8Array({ maxLength: 200 })).map(([end, rest]) => {
    return Uint8Array.of(...good.subarray(0, end), ...rest);
  });
  return fc.oneof(cut, overwritten, continued);
}
