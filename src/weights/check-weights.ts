import { WeightsError } from "../errors.ts";
import { formatShape, type Shape, sameShape } from "../tensor/shape.ts";

/** How many names of each kind a message lists. */
const listed = 5;

/**
 * Makes sure that weights are those of a network, all of them and no others.
 * @param where what errors call the weights.
 * @param remedy what the caller can do about it.
 * @param absent files that are not there, by the name of the weight that is in them.
 * @throws {WeightsError} with up to three lists: missing, unexpected, wrong shape.
 */
export function checkWeights(
  where: string,
  expected: readonly { readonly name: string; readonly shape: Shape }[],
  received: ReadonlyMap<string, { readonly shape: Shape }>,
  remedy = "Check the network's options: variant, width, classes and the rest must be those it was trained with.",
  absent: ReadonlyMap<string, readonly string[]> = new Map(),
): void {
  const names = new Set(expected.map(({ name }) => name));
  const missing = expected
    .filter(({ name }) => !received.has(name))
    .map(({ name }) => (absent.has(name) ? `${name} (there is no ${absent.get(name)!.join(", ")})` : name));
  const unexpected = [...received.keys()].filter((name) => !names.has(name));
  const wrongShape = expected.flatMap(({ name, shape }) => {
    const tensor = received.get(name);
    if (tensor === undefined || sameShape(tensor.shape, shape)) return [];
    return [`${name} (${formatShape(tensor.shape)} instead of ${formatShape(shape)})`];
  });
  const problems = [list("missing", missing), list("unexpected", unexpected), list("of another shape", wrongShape)];
  const found = problems.filter((problem) => problem !== undefined);
  if (found.length === 0) return;
  const what = `they are not the weights of this network; ${found.join("; ")}`;
  throw new WeightsError({ where, what, remedy }, { missing, unexpected, wrongShape });
}

function list(kind: string, names: readonly string[]): string | undefined {
  if (names.length === 0) return undefined;
  const more = names.length > listed ? ` and ${names.length - listed} more` : "";
  return `${kind}: ${names.slice(0, listed).join(", ")}${more}`;
}
