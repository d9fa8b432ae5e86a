/** The name that takes the fewest changes of single letters to come from `written`; of equal ones, the first. */
export function nearestName(written: string, names: readonly string[]): string {
  const distances = names.map((name) => editDistance(written.toLowerCase(), name.toLowerCase()));
  return names[distances.indexOf(Math.min(...distances))]!;
}

/** How many letters have to be put in, taken out or replaced. @see Wagner and Fischer, The String-to-String Correction Problem, 1974 */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [above, letter] of [...a].entries()) {
    const next = [above + 1];
    for (const [index, other] of [...b].entries()) {
      next.push(Math.min(next[index]! + 1, row[index + 1]! + 1, row[index]! + (letter === other ? 0 : 1)));
    }
    row = next;
  }
  return row.at(-1)!;
}
