/**
 * The place of one class among all when they are sorted by falling score, 0 for the highest. Among equal scores the
 * class that comes first in the list goes first, as in `argmax`, so that ties never depend on chance.
 */
export function rankOf(scores: ArrayLike<number>, index: number): number {
  const score = scores[index]!;
  let rank = 0;
  for (let other = 0; other < scores.length; other++) {
    if (scores[other]! > score || (scores[other] === score && other < index)) rank++;
  }
  return rank;
}

/**
 * The indices of the `count` highest scores, highest first; ties as in {@link rankOf}. Fewer when there are fewer scores.
 * @example topIndices([0.1, 0.7, 0.2], 2) // [1, 2]
 */
export function topIndices(scores: ArrayLike<number>, count: number): number[] {
  return Array.from(scores, (_, index) => index)
    .sort((a, b) => scores[b]! - scores[a]! || a - b)
    .slice(0, count);
}
