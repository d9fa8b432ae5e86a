/** At most so many of a list, evenly spaced, its last one among them. */
export function thinned<T>(list: readonly T[], most: number): readonly T[] {
  const stride = Math.ceil(list.length / most);
  const last = list.length - 1;
  return stride <= 1 ? list : list.filter((_, index) => (last - index) % stride === 0);
}
