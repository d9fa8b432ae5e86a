import { FormatError } from "./errors.ts";

/** Deepest nesting allowed: code that walks the value recursively needs stack. */
const deepestNesting = 200;

/** Any JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** Options of {@link parseJson}. */
export interface JsonOptions {
  /** The problem in errors if the text is not JSON. */
  readonly what?: string;
  /** Largest number of lists, objects and keys, of which each can take 200 bytes of memory. Default 2²¹. */
  readonly most?: number;
  /** Makes a duplicate key of an object an error; `JSON.parse` would silently keep the last one. */
  readonly uniqueKeys?: boolean;
}

/**
 * Parses JSON text from an untrusted source.
 * @param where name of the text in errors.
 * @throws {FormatError} the text is not JSON, is nested too deeply, has too many values, or a duplicate key.
 */
export function parseJson(text: string, where: string, options: JsonOptions = {}): unknown {
  const { what = "this is not JSON", most = 2 ** 21, uniqueKeys = false } = options;
  assertModest(text, where, most);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FormatError({ where: `${where}, character ${endOfJson(text)}`, what, cause });
  }
  const duplicate = uniqueKeys ? duplicateKey(text) : undefined;
  if (duplicate !== undefined) throw new FormatError({ where, what: "duplicate name", received: duplicate });
  return value;
}

/** Checks a text before it is parsed: its values may take forty times the memory. */
function assertModest(text: string, where: string, most: number): void {
  let depth = 0;
  let count = 0;
  for (let index = 0; index < text.length; index++) {
    const character = text[index];
    if (character === '"') index = endOfString(text, index);
    else if (character === "}" || character === "]") depth--;
    else if (character === "{" || character === "[") {
      depth++;
      count++;
    } else if (character === ":") count++;
    if (depth <= deepestNesting && count <= most) continue;
    const what = count > most ? "it has too many values" : "lists and objects are nested too deeply";
    const expected = count > most ? `at most ${most} lists, objects and keys` : `at most ${deepestNesting} levels`;
    throw new FormatError({ where, what, expected });
  }
}

/** Position of the quote that ends the string whose first quote is at `start`. */
function endOfString(text: string, start: number): number {
  let end = start + 1;
  while (end < text.length && text[end] !== '"') end += text[end] === "\\" ? 2 : 1;
  return end;
}

/** Returns the first duplicate key of an object in a valid JSON text, if any. */
function duplicateKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  const colon = /\s*:/y;
  for (let index = 0; index < text.length; index++) {
    const start = index;
    if (text[index] === "{") open.push(new Set());
    else if (text[index] === "}") open.pop();
    else if (text[index] === '"') {
      index = endOfString(text, start);
      colon.lastIndex = index + 1;
      if (!colon.test(text)) continue;
      const key = JSON.parse(text.slice(start, index + 1)) as string;
      if (open.at(-1)!.has(key)) return key;
      open.at(-1)!.add(key);
    }
  }
  return undefined;
}

/** Whitespace and the JSON token after it; of a string only its opening quote. */
const word = /[ \t\r\n]*([{}[\],:"]|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/y;
const escaped = /[^\\]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/y;

/** Returns where the string that starts before `place` ends; undefined if it is unterminated. */
function endOfText(text: string, place: number): number | undefined {
  while (place < text.length && text[place] !== '"') {
    escaped.lastIndex = place;
    if (text[place]! < " " || !escaped.test(text)) return undefined;
    place = escaped.lastIndex;
  }
  return place < text.length ? place + 1 : undefined;
}

/** Returns the position of the first JSON syntax error, which not every JavaScript engine reports. */
function endOfJson(text: string): number {
  const open: string[] = [];
  // `rest`: a comma, or the end of the list or object.
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
