import type * as z from "zod";
import { FormatError } from "./errors.ts";

/**
 * Validates an untrusted value against a schema.
 * @throws {FormatError} the value is invalid; the message names the first invalid field.
 */
export function checkDocument<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { code, path, message } = result.error.issues[0]!;
  const place = path.length > 0 ? `, field ${path.join(".")}` : "";
  // Custom messages and some of zod's already include what was received; whole lists would be noise.
  const isKnown = code === "custom" || message.includes("received");
  const received = isKnown ? undefined : valueAt(value, path);
  const shown = typeof received === "object" ? undefined : received;
  throw new FormatError({ where: `${where}${place}`, what: message, received: shown, cause: result.error });
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((inside: unknown, key) => (inside as Record<PropertyKey, unknown> | undefined)?.[key], value);
}
