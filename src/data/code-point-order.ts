/**
 * Orders two strings by code point, as Python does: JavaScript's own order compares UTF-16 units and puts an emoji before
 * `U+FF21`, which would give the classes of a folder other labels than in Keras.
 */
export function compareCodePoints(a: string, b: string): number {
  const shared = Math.min(a.length, b.length);
  for (let at = 0; at < shared; at++) {
    const difference = a.codePointAt(at)! - b.codePointAt(at)!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
