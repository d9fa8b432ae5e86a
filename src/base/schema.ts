import { FormatError } from "./errors.ts";
import type { Kind } from "./kinds.ts";

/** Schema of untrusted data that browsers read: a kind of value, or values inside another one. */
export type Schema<T> = Pick<Kind<T>, "accept" | "expected"> | NestedSchema<T>;

interface NestedSchema<T> {
  readonly expected: string;
  /** @throws {Mismatch} */
  readonly check: (value: unknown, path: string) => T;
}

/** The type of a schema's values. */
export type Described<S> = S extends Schema<infer T> ? Exclude<T, undefined> : never;

/** The first field that a schema does not allow. */
class Mismatch extends Error {
  readonly path: string;
  readonly received: unknown;
  readonly expected: string;

  constructor(path: string, received: unknown, expected: string) {
    super(`${path}: expected ${expected}`);
    this.path = path;
    this.received = received;
    this.expected = expected;
  }
}

/** A value that fits its schema, or the first problem with it. */
export type Checked<T> = { readonly value: T } | { readonly problem: Pick<Mismatch, "path" | "received" | "expected"> };

/** Checks a value; fields of objects that their schema does not name are dropped. */
export function check<T>(schema: Schema<T>, value: unknown): Checked<T> {
  try {
    return { value: read(schema, value, "") };
  } catch (error) {
    if (error instanceof Mismatch) return { problem: error };
    throw error;
  }
}

/**
 * Checks a value from a file, as {@link check}.
 * @throws {FormatError} it does not fit; the message names the first such field.
 */
export function fitting<T>(schema: Schema<T>, value: unknown, where: string): T {
  const checked = check(schema, value);
  if ("value" in checked) return checked.value;
  const { path, received, expected } = checked.problem;
  const what = received === undefined ? "it is missing" : "this value is not allowed";
  // Whole lists and objects would be noise.
  const shown = typeof received === "object" ? undefined : received;
  throw new FormatError({ where: path ? `${where}, field ${path}` : where, what, received: shown, expected });
}

/** An object with these fields. @param others `rejected`: other fields are an error; default: they are dropped. */
export function object<const Fields extends Readonly<Record<string, Schema<unknown>>>>(
  fields: Fields,
  others: "dropped" | "rejected" = "dropped",
): Schema<{ readonly [Name in keyof Fields]: Described<Fields[Name]> }> {
  return nested("an object", (value, path) => {
    const given = entries(value, path, "an object");
    const unknown = others === "rejected" && Object.keys(given).find((name) => !Object.hasOwn(fields, name));
    if (unknown) throw new Mismatch(inside(path, unknown), given[unknown], `one of the fields ${Object.keys(fields)}`);
    const known = Object.entries(fields).map(([name, schema]) => [name, read(schema, given[name], inside(path, name))]);
    return Object.fromEntries(known.filter(([, each]) => each !== undefined));
  });
}

/** An object with any fields, whose values fit one schema. */
export function record<T>(schema: Schema<T>): Schema<Readonly<Record<string, T>>> {
  return nested("an object", (value, path) => {
    const given = Object.entries(entries(value, path, "an object"));
    return Object.fromEntries(given.map(([name, each]) => [name, read(schema, each, inside(path, name))]));
  });
}

/** A list of at least `from` and at most `to` values. */
export function list<T>(schema: Schema<T>, from = 0, to = Infinity): Schema<readonly T[]> {
  const count = from === to ? `${from}` : to === Infinity ? `at least ${from}` : `${from} to ${to}`;
  const expected = from === 0 && to === Infinity ? `a list, each ${schema.expected}` : `a list of ${count} values`;
  return nested(expected, (value, path) => {
    if (!Array.isArray(value) || value.length < from || value.length > to) throw new Mismatch(path, value, expected);
    return value.map((each, index) => read(schema, each, inside(path, index)));
  });
}

/** A list of two values. */
export function pair<T>(schema: Schema<T>): Schema<readonly [T, T]> {
  return list(schema, 2, 2) as Schema<unknown> as Schema<readonly [T, T]>;
}

/** A list of three values. */
export function triple<T>(schema: Schema<T>): Schema<readonly [T, T, T]> {
  return list(schema, 3, 3) as Schema<unknown> as Schema<readonly [T, T, T]>;
}

/** A value that fits one of two schemas. */
export function either<A, B>(first: Schema<A>, second: Schema<B>): Schema<A | B> {
  return nested(`${first.expected}, or ${second.expected}`, (value, path) => {
    for (const schema of [first, second] as const) {
      const checked = check<A | B>(schema, value);
      if ("value" in checked) return checked.value;
    }
    throw new Mismatch(path, value, `${first.expected}, or ${second.expected}`);
  });
}

/** An object whose field `key` names the schema of the whole. */
export function selected<T>(key: string, schemas: Readonly<Record<string, Schema<unknown>>>): Schema<T> {
  return nested("an object", (value, path) => {
    const name = entries(value, path, "an object")[key];
    if (typeof name === "string" && Object.hasOwn(schemas, name)) return read(schemas[name]!, value, path) as T;
    throw new Mismatch(inside(path, key), name, `one of ${Object.keys(schemas).join(", ")}`);
  });
}

/** A value that may be missing. */
export function optional<T>(schema: Schema<T>): Schema<T | undefined> {
  return orElse<T | undefined>(schema, undefined);
}

/** A value that may be missing; `fallback` takes its place. */
export function orElse<T>(schema: Schema<T>, fallback: T): Schema<T> {
  return nested(schema.expected, (value, path) => (value === undefined ? fallback : read(schema, value, path)));
}

/** Any value, to be checked elsewhere. */
export const anything: Schema<unknown> = nested("any value", (value) => value);

function nested<T>(expected: string, check: (value: unknown, path: string) => unknown): Schema<T> {
  return { expected, check: check as (value: unknown, path: string) => T };
}

function read<T>(schema: Schema<T>, value: unknown, path: string): T {
  if ("check" in schema) return schema.check(value, path);
  const accepted = schema.accept(value);
  if (accepted === undefined) throw new Mismatch(path, value, schema.expected);
  return accepted;
}

function entries(value: unknown, path: string, expected: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Mismatch(path, value, expected);
}

function inside(path: string, name: string | number): string {
  return path === "" ? `${name}` : `${path}.${name}`;
}
