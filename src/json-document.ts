import type { z } from "zod";
import { FormatError } from "./errors.ts";

/**
 * The value of a JSON text from outside.
 * @param where what errors call the text.
 * @throws {FormatError} this is no JSON.
 */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FormatError({ where, what: "this is no JSON", cause });
  }
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
