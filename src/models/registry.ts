import { UsageError } from "../base/errors.ts";
import type { Network } from "../graph/network.ts";
import { alignedFamily } from "./aligned/family.ts";
import type { Family } from "./family.ts";
import { inceptionFamily } from "./inception/family.ts";
import { type LayerList, layersOf, networkOfLayers, sameLayers } from "./layer-list.ts";
import {
  assertTogether,
  type CompleteOptions,
  completeOptions,
  definedOnly,
  type NamesIn,
  type NetworkOption,
  type OptionScope,
  type OptionsOf,
  type OptionTable,
  type SharedOptions,
  sameValue,
} from "./options.ts";
import { xceptionFamily } from "./xception/family.ts";

/** The registry: every family of networks, the default one first. */
const registered = [xceptionFamily, alignedFamily, inceptionFamily] as const;

type Registered = (typeof registered)[number];
type TableOf<F> = F extends Family<string, infer Table> ? Table : never;
type ArchitectureIn<F> =
  F extends Family<infer Key, infer Table> ? { readonly family: Key; readonly options: OptionsOf<Table> } : never;

/**
 * An architecture as plain data for files: one of our families with its options, or any network as a list of layers.
 */
export type Architecture = ArchitectureIn<Registered> | ({ readonly family: "layers" } & LayerList);

/** The name of a network: `xception`, or timm's name. */
export type ArchitectureName = Registered extends infer F ? (F extends Registered ? keyof F["names"] : never) : never;

/** The families, without the types of their options. */
export const families: readonly Family[] = registered;

/** The names of all networks, the default one first. */
export const architectureNames = families.flatMap(({ names }) => Object.keys(names)) as unknown as readonly [
  ArchitectureName,
  ...ArchitectureName[],
];

/** The default network. */
export const defaultName = architectureNames[0];

type NamesOf<F, Scope extends OptionScope> = F extends Registered ? NamesIn<TableOf<F>, Scope> : never;
type OptionOf<F, Name> = F extends Registered
  ? Name extends NamesIn<TableOf<F>, "network" | "task" | "port">
    ? TableOf<F>[Name]
    : never
  : never;

/** The options of any named network, except those implied by the name. */
export type NetworkOptions = {
  readonly [Name in NamesOf<Registered, "network" | "task" | "port">]?: CompleteOptions<
    Record<Name, OptionOf<Registered, Name>>
  >[Name];
};

/** The options of a scope in all families, with the names of the networks that have it unless all do. */
export type ScopedOptions<Scope extends OptionScope> = {
  readonly [Name in NamesOf<Registered, Scope> & keyof NetworkOptions]: NetworkOption<
    NonNullable<NetworkOptions[Name]>
  > & {
    readonly only?: readonly ArchitectureName[];
  };
};

/** Returns the options of some scopes in all families, in the order of their tables. */
export function optionsIn<Scope extends "network" | "task" | "port">(
  ...scopes: readonly Scope[]
): ScopedOptions<Scope> {
  const found: Record<string, unknown> = {};
  for (const { options } of families) {
    for (const [name, option] of Object.entries(options.table)) {
      if (!scopes.some((scope) => scope === option.scope) || name in found) continue;
      const only = namesWith(name);
      found[name] = only.length === architectureNames.length ? option : { ...option, only };
    }
  }
  return found as ScopedOptions<Scope>;
}

/** Picks the values of a network's options that are training settings. */
export function pickOptions(name: ArchitectureName, values: Readonly<Record<string, unknown>>): NetworkOptions {
  const { table } = familyNamed(name).options;
  return Object.fromEntries(Object.entries(values).filter(([option]) => table[option]?.scope === "network"));
}

/** The family of a network. */
export function familyNamed(name: ArchitectureName): Family {
  return families.find(({ names }) => Object.hasOwn(names, name))!;
}

/** The family of an architecture; undefined for a list of layers. */
export function familyOf({ family }: Architecture): Family | undefined {
  return families.find((each) => each.family === family);
}

/**
 * Builds the network of an architecture.
 * @throws {UsageError} an option is invalid.
 * @throws {GraphError} the list of layers does not form a network.
 * @throws {ShapeError} the layers of a list do not fit together.
 */
export function buildNetwork(architecture: Architecture): Network {
  if (architecture.family === "layers") return networkOfLayers(architecture);
  return familyOf(architecture)!.build(architecture.options);
}

/**
 * The architecture of a named network.
 * @param where names an option in errors.
 * @throws {UsageError} the network lacks an option, options exclude each other, or the images are too small.
 */
export function architectureNamed(
  name: ArchitectureName,
  options: NetworkOptions = {},
  where?: (option: string) => string,
): Architecture {
  const { family, names, options: owned } = familyNamed(name);
  const given = definedOnly(options);
  const place = where ?? ((option) => `${owned.owner} option "${option}"`);
  for (const [option, received] of Object.entries(given)) {
    const having = namesWith(option);
    if (having.length === 0 || having.includes(name)) continue;
    throw new UsageError({
      where: place(option),
      what: `this does not go with architecture ${name}`,
      received,
      expected: `architecture ${having.join(" or ")}`,
    });
  }
  if (where) assertTogether(owned, given, where);
  return { family, options: { ...names[name], ...given } } as Architecture;
}

function namesWith(option: string): readonly ArchitectureName[] {
  return architectureNames.filter((name) => {
    const { table } = familyNamed(name).options;
    return Object.hasOwn(table, option) && table[option]!.scope !== "name";
  });
}

/** The inverse of `architectureNamed`; undefined for lists of layers. */
export function nameOfArchitecture(architecture: Architecture): ArchitectureName | undefined {
  const names = familyOf(architecture)?.names ?? {};
  const complete = valuesOf(architecture);
  const found = Object.entries(names).findLast(([, preset]) =>
    Object.entries(preset).every(([option, value]) => sameValue(complete[option], value)),
  );
  return found && (found[0] as ArchitectureName);
}

function valuesOf(architecture: Architecture): Readonly<Record<string, unknown>> {
  return optionsOf(completeArchitecture(architecture)) as Readonly<Record<string, unknown>>;
}

/** The options of an architecture; a list of layers has none. */
export function optionsOf(architecture: Architecture): NetworkOptions {
  return architecture.family === "layers" ? {} : (architecture.options as NetworkOptions);
}

/** Changes options of an architecture; a list of layers has none and stays the same. */
export function withOptions(architecture: Architecture, changed: SharedOptions): Architecture {
  if (architecture.family === "layers") return architecture;
  return { ...architecture, options: { ...architecture.options, ...definedOnly(changed) } } as Architecture;
}

/** Describes any network as an architecture: a list of layers. */
export function architectureOf(network: Network): Architecture {
  return { family: "layers", ...layersOf(network) };
}

/** Fills in all options of an architecture, so that it does not change with the defaults. */
export function completeArchitecture(architecture: Architecture): Architecture {
  if (architecture.family === "layers") return architecture;
  const { table } = familyOf(architecture)!.options;
  return { ...architecture, options: completeOptions(table, architecture.options) } as Architecture;
}

/** The architecture of a family with the same layers as a network, under any names, if there is one. */
export function recognizeArchitecture(network: Network): Architecture | undefined {
  for (const { family, candidates, build } of families) {
    const options = candidates?.(network).find((each) => isBuiltBy(() => build(each), network));
    if (options) return { family, options } as Architecture;
  }
  return undefined;
}

/** False also if the options derived from the network are not allowed, such as an epsilon of 0. */
function isBuiltBy(build: () => Network, network: Network): boolean {
  try {
    return sameLayers(network, build());
  } catch (error) {
    if (error instanceof UsageError) return false;
    throw error;
  }
}

/** An option with different values in two implementations of a network. */
export interface PortDifference {
  readonly option: string;
  readonly values: readonly [before: unknown, after: unknown];
}

/** The options with scope `port` in which two architectures of a family differ; none across families. */
export function portDifferences(before: Architecture, after: Architecture): readonly PortDifference[] {
  if (before.family !== after.family) return [];
  const table: OptionTable = familyOf(before)?.options.table ?? {};
  const [from, to] = [valuesOf(before), valuesOf(after)];
  return Object.entries(table).flatMap(([option, { scope }]) => {
    const values = [from[option], to[option]] as const;
    return scope === "port" && !sameValue(...values) ? [{ option, values }] : [];
  });
}
