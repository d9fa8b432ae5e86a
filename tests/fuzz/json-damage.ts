import fc from "fast-check";

/** Stands for so many lists in each other, which `JSON.stringify` cannot write. */
const deep = "lists in lists: ";

/** What a field of JSON may hold that nobody expects: sizes beyond all memory, reserved names, paths, and other types. */
const absurd: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    ...[-1, 0, 0.5, 1e9, 2 ** 31, 2 ** 53, 1e308, -0, null, true, "", "__proto__", "constructor", "\0"],
    ...["../../secret", "/etc/passwd", "https://example.org/s", "C:\\s", "NaN", "x".repeat(5000)],
    ...[[], {}, [[]], [1e9, 1e9, 1e9], [-1, -1], { class_name: "Model", config: { layers: [] } }],
  ),
  fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<unknown>,
  fc.integer({ min: 10, max: 100_000 }).map((depth) => `${deep}${depth}`),
);

type Parent = Record<string | number, unknown>;

/** One change to a document: the field that is met on a walk by these steps becomes another one, goes, or is there twice. */
interface Change {
  readonly steps: readonly number[];
  readonly kind: "replace" | "remove" | "copy" | "swap";
  readonly value: unknown;
  readonly other: readonly number[];
}

const change: fc.Arbitrary<Change> = fc.record({
  steps: fc.array(fc.nat(40), { minLength: 1, maxLength: 9 }),
  kind: fc.constantFrom("replace" as const, "replace" as const, "remove" as const, "copy" as const, "swap" as const),
  value: absurd,
  other: fc.array(fc.nat(40), { minLength: 1, maxLength: 9 }),
});

/** The document with one to four of its fields changed: names that point back to themselves, layers that are gone, … */
export function damagedJson(document: unknown): fc.Arbitrary<unknown> {
  return fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
    const root: Parent = { document: structuredClone(document) };
    for (const each of changes) apply(root, each);
    return root.document;
  });
}

function apply(root: Parent, { steps, kind, value, other }: Change): void {
  const [parent, key] = walk(root, steps);
  const [otherParent, otherKey] = walk(root, other);
  const [found, otherFound] = [parent[key], otherParent[otherKey]];
  // A copy: a later change may be made inside it.
  if (kind === "replace") parent[key] = structuredClone(value);
  else if (kind === "remove") delete parent[key];
  else parent[key] = structuredClone(otherFound);
  if (kind === "swap") otherParent[otherKey] = structuredClone(found);
}

function walk(root: Parent, steps: readonly number[]): [parent: Parent, key: string | number] {
  let [parent, key]: [Parent, string | number] = [root, "document"];
  for (const step of steps) {
    const here: unknown = parent[key];
    if (typeof here !== "object" || here === null) break;
    const keys = Object.keys(here);
    if (keys.length === 0) break;
    [parent, key] = [here as Parent, keys[step % keys.length]!];
  }
  return [parent, key];
}

/** As `JSON.stringify`, with the lists in lists that a text stands for. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value) ?? "";
  return text.replaceAll(new RegExp(`"${deep}(\\d+)"`, "g"), (_, depth) => `${"[".repeat(depth)}${"]".repeat(depth)}`);
}
