import type { z } from "zod";
import { FormatError } from "./errors.ts";

/** Nobody nests deeper, and whatever walks along the value later needs stack. */
const deepestNesting = 200;

/**
 * The value of a JSON text from outside.
 * @param where what errors call the text.
 * @param what errors say of a text that is no JSON.
 * @throws {FormatError} this is no JSON, or lists are in lists too deep.
 */
export function parseJson(text: string, where: string, what = "this is no JSON"): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FormatError({ where, what, cause });
  }
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > deepestNesting) {
      const expected = `at most ${deepestNesting} levels`;
      throw new FormatError({ where, what: "lists and objects are nested too deep", expected });
    }
    level = level.flatMap((each) => (typeof each === "object" && each !== null ? Object.values(each) : []));
  }
  return value;
}

/**
 * A value from outside that a schema has accepted.
 * @throws {FormatError} it has not; the message names the first field that is wrong.
 */
export function checkDocument<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  const place = path.length > 0 ? `, field ${path.join(".")}` : "";
  throw new FormatError({ where: `${where}${place}`, what: message, cause: result.error });
}
