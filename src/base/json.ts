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
    throw new FormatError({ where: `${where}, character ${endOfJson(text)}`, what, cause });
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

/** The space before a word of JSON, and the word; of a text in quotes its beginning. */
const word = /[ \t\r\n]*([{}[\],:"]|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/y;
const escaped = /[^\\]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/y;

/** Where a text in quotes ends that begins before `place`; undefined if it does not. */
function endOfText(text: string, place: number): number | undefined {
  while (place < text.length && text[place] !== '"') {
    escaped.lastIndex = place;
    if (text[place]! < " " || !escaped.test(text)) return undefined;
    place = escaped.lastIndex;
  }
  return place < text.length ? place + 1 : undefined;
}

/** How far a text goes that is no JSON: the engine's own messages do not say it everywhere. */
function endOfJson(text: string): number {
  const open: string[] = [];
  // What may come next: of a value, a key, a colon, and what ends or goes on.
  let next: "value" | "first value" | "key" | "first key" | "colon" | "rest" = "value";
  word.lastIndex = 0;
  for (let end = 0; ; end = word.lastIndex) {
    const token = word.exec(text)?.[1];
    if (token === undefined) return end + /^[ \t\r\n]*/.exec(text.slice(end))![0].length;
    const begin = word.lastIndex - token.length;
    if (token === '"') {
      const after = endOfText(text, word.lastIndex);
      if (after === undefined) return begin;
      word.lastIndex = after;
    }
    const isKey = next === "key" || next === "first key";
    const isValue = next === "value" || next === "first value";
    const closes = (token === "}" && open.at(-1) === "{") || (token === "]" && open.at(-1) === "[");
    if (closes && (next === "rest" || next.startsWith("first"))) {
      open.pop();
      next = "rest";
    } else if (isKey && token === '"') next = "colon";
    else if (next === "colon" && token === ":") next = "value";
    else if (next === "rest" && token === "," && open.length > 0) next = open.at(-1) === "{" ? "key" : "value";
    else if (isValue && (token === "{" || token === "[")) {
      open.push(token);
      next = token === "{" ? "first key" : "first value";
    } else if (isValue && !"}],:".includes(token)) next = "rest";
    else return begin;
  }
}

/**
 * A value from outside that a schema has accepted.
 * @throws {FormatError} it has not; the message names the first field that is wrong.
 */
export function checkDocument<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { code, path, message } = result.error.issues[0]!;
  const place = path.length > 0 ? `, field ${path.join(".")}` : "";
  // Messages of ours say what they refuse, and some of zod's the type of it; whole lists would say little.
  const said = code === "custom" || message.includes("received");
  const received = said ? undefined : valueAt(value, path);
  const isShort = typeof received !== "object";
  throw new FormatError({
    where: `${where}${place}`,
    what: message,
    ...(isShort && { received }),
    cause: result.error,
  });
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((inside: unknown, key) => (inside as Record<PropertyKey, unknown> | undefined)?.[key], value);
}
