import { UsageError } from "../../src/errors.ts";

/**
 * The ending of a file's name that says what to write, in small letters and without its dot.
 * @param flag that names the file, for the message.
 * @throws {UsageError} it has none of the endings.
 */
export function endingOf<T extends string>(file: string, endings: readonly T[], flag: string): T {
  const found = endings.find((ending) => file.toLowerCase().endsWith(`.${ending}`));
  if (found !== undefined) return found;
  throw new UsageError({
    where: `option ${flag}`,
    what: "the ending of the name does not say what to write",
    received: file,
    expected: `a name that ends in ${endings.map((ending) => `.${ending}`).join(", ")}`,
  });
}
