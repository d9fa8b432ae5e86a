import { FormatError } from "./errors.ts";
import type { ValueKind } from "./kinds.ts";

/** Schema of untrusted data: a kind of value, or values inside another one. */
export type Schema<T> = ValueKind<T> | NestedSchema<T>;

interface NestedSchema<T> {
  readonly expected: string;
  /** @throws {Mismatch} */
  readonly check: (value: unknown, path: string) => T;
}

/** The type of a schema's values. */
export type Described<S> = Exclude<ValueIn<S>, undefined>;

/** Same as {@link Described}, with undefined where the value may be missing. */
type ValueIn<S> = S extends Schema<infer T> ? T : never;

type Fields = Readonly<Record<string, Schema<unknown>>>;

/** An object in which the fields that may be missing are optional. */
type ObjectOf<F extends Fields> = {
  readonly [N in keyof F as undefined extends ValueIn<F[N]> ? never : N]: ValueIn<F[N]>;
} & { readonly [N in keyof F as undefined extends ValueIn<F[N]> ? N : never]?: ValueIn<F[N]> };

/** A value that does not fit its schema. */
export interface Problem {
  /** Names and indices from the outermost value to this one, joined by dots; empty: the outermost itself. */
  readonly path: string;
  readonly received: unknown;
  readonly expected: string;
}

class Mismatch extends Error {
  readonly problem: Problem;

  /** @param path each name or index after a dot. */
  constructor(path: string, received: unknown, expected: string) {
    super();
    this.problem = { path: path.slice(1), received, expected };
  }
}

/** A value that fits its schema, or the first problem with it. */
export type Checked<T> =
  | { readonly value: T; readonly problem?: undefined }
  | { readonly value?: undefined; readonly problem: Problem };

/** Checks a value; fields of objects that their schema does not name are dropped. */
export function check<T>(schema: Schema<T>, value: unknown): Checked<T> {
  try {
    return { value: read(schema, value, "") };
  } catch (error) {
    if (error instanceof Mismatch) return { problem: error.problem };
    throw error;
  }
}

/**
 * Checks a value from a file, as {@link check}.
 * @throws {FormatError} it does not fit; the message names the first such field.
 */
export function fitting<T>(schema: Schema<T>, value: unknown, where: string): T {
  const checked = check(schema, value);
  if (!checked.problem) return checked.value;
  const { path, received, expected } = checked.problem;
  const kind = kindOf(received);
  const what = received === undefined ? "it is missing" : `this ${kind} is not allowed`;
  // Whole lists and objects would be noise.
  const shown = kind === "value" ? received : undefined;
  throw new FormatError({ where: path ? `${where}, field ${path}` : where, what, received: shown, expected });
}

/** An object with these fields; others are dropped. */
export function object<const F extends Fields>(fields: F): Schema<ObjectOf<F>> {
  return nested("an object", (value, path) => {
    const given = entries(value, path);
    const known = Object.entries(fields).map(([name, schema]) => [name, read(schema, given[name], path, name)]);
    return Object.fromEntries(known.filter(([, each]) => each !== undefined));
  });
}

/** An object with these fields and no others. */
export function exact<const F extends Fields>(fields: F): Schema<ObjectOf<F>> {
  return nested("an object", (value, path) => {
    const given = entries(value, path);
    const unknown = Object.keys(given).find((name) => !Object.hasOwn(fields, name));
    if (unknown === undefined) return read(object(fields), value, path);
    throw new Mismatch(`${path}.${unknown}`, given[unknown], `one of the fields ${Object.keys(fields).join(", ")}`);
  });
}

/** An object with any fields, whose values fit one schema. */
export function record<T>(schema: Schema<T>): Schema<Readonly<Record<string, T>>> {
  return nested(`an object, each value ${schema.expected}`, (value, path) => {
    const given = Object.entries(entries(value, path));
    return Object.fromEntries(given.map(([name, each]) => [name, read(schema, each, path, name)]));
  });
}

/** A list of at least `from` and at most `to` values. */
export function list<T>(schema: Schema<T>, from = 0, to = Infinity): Schema<readonly T[]> {
  const limits = to < Infinity ? `${from} to ${to}` : from > 0 && `${from} or more`;
  const expected = limits ? `a list of ${limits} values` : `a list, each ${schema.expected}`;
  return nested(expected, (value, path) => {
    if (!Array.isArray(value) || value.length < from || value.length > to) throw new Mismatch(path, value, expected);
    return value.map((each, index) => read(schema, each, path, index));
  });
}

/** A list of values, each with a schema of its own; the last may be optional. */
export function tuple<const S extends readonly Schema<unknown>[]>(
  ...schemas: S
): Schema<{ readonly [Index in keyof S]: ValueIn<S[Index]> }> {
  const expected = `a list of ${schemas.length} values`;
  return nested(expected, (value, path) => {
    if (!Array.isArray(value) || value.length > schemas.length) throw new Mismatch(path, value, expected);
    return schemas.map((schema, index) => read(schema, value[index], path, index));
  });
}

/** A value that fits one of two schemas. */
export function either<A, B>(first: Schema<A>, second: Schema<B>): Schema<A | B> {
  const expected = `${first.expected}, or ${second.expected}`;
  return nested(expected, (value, path) => {
    for (const schema of [first, second] as const) {
      const checked = check<A | B>(schema, value);
      if (!checked.problem) return checked.value;
    }
    throw new Mismatch(path, value, expected);
  });
}

/** An object whose field `key` names the schema of the whole. */
export function selected<T>(key: string, schemas: Readonly<Record<string, Schema<unknown>>>): Schema<T> {
  return nested("an object", (value, path) => {
    const name = entries(value, path)[key];
    if (typeof name === "string" && Object.hasOwn(schemas, name)) return read(schemas[name]!, value, path) as T;
    throw new Mismatch(`${path}.${key}`, name, `one of ${Object.keys(schemas).join(", ")}`);
  });
}

/** A value that may be missing. */
export function optional<T>(schema: Schema<T>): Schema<T | undefined> {
  return orElse<T | undefined>(schema, undefined);
}

/** A value that may be missing; `fallback` takes its place. @param missing what stands for a missing value. */
export function orElse<T>(schema: Schema<T>, fallback: T, missing?: null): Schema<T> {
  return nested(schema.expected, (value, path) => (value === missing ? fallback : read(schema, value, path)));
}

/** A value that may be null. */
export function nullable<T>(schema: Schema<T>): Schema<T | null> {
  return orElse<T | null>(schema, null, null);
}

/** A value that may be missing or null. */
export function nullish<T>(schema: Schema<T>): Schema<T | null | undefined> {
  return optional(nullable(schema));
}

function nested<T>(expected: string, check: (value: unknown, path: string) => unknown): Schema<T> {
  return { expected, check: check as (value: unknown, path: string) => T };
}

/** Reads a value, or the one inside it named `name`. Large lists need their paths only in errors. */
function read<T>(schema: Schema<T>, value: unknown, path: string, name?: string | number): T {
  if ("check" in schema) return schema.check(value, inside(path, name));
  const accepted = schema.accept(value);
  if (accepted === undefined) throw new Mismatch(inside(path, name), value, schema.expected);
  return accepted;
}

function inside(path: string, name?: string | number): string {
  return name === undefined ? path : `${path}.${name}`;
}

function entries(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (kindOf(value) === "object") return value as Record<string, unknown>;
  throw new Mismatch(path, value, "an object");
}

function kindOf(value: unknown) {
  if (typeof value !== "object" || value === null) return "value";
  return Array.isArray(value) ? "list" : "object";
}
