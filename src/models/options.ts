import { UsageError } from "../base/errors.ts";
import {
  assertAllowed,
  assertOption,
  type Choice,
  choice,
  type Kind,
  number,
  oneOf,
  onOff,
  tupleOf,
  wholeNumber,
} from "../base/kinds.ts";
import type { ActivationName } from "../graph/layers.ts";

/**
 * Scope of an option: `network` options define the architecture, and are flags and training settings; `task` options
 * depend on the data, and are flags of commands that describe a network; `port` options differ between implementations
 * of the same network, and come with a name or a file; `name` options are implied by a network's name.
 */
export type OptionScope = "network" | "task" | "port" | "name";

/** An option of a family of networks. */
export interface NetworkOption<T, Scope extends OptionScope = OptionScope> extends Choice<T> {
  readonly scope: Scope;
  /** Set if the option applies only with the top, or only without it; default both. */
  readonly applies?: "with top" | "without top";
}

/** The options of a family by name, in the order in which model files and messages list them. */
export type OptionTable = Readonly<
  Record<string, Omit<NetworkOption<unknown>, "write"> & { readonly write: (value: never) => string }>
>;

type ValueIn<Option> = Option extends NetworkOption<infer T> ? T : never;

/** Options as given by callers: each has a default. */
export type OptionsOf<Table extends OptionTable> = { readonly [Name in keyof Table]?: ValueIn<Table[Name]> };

/** Options with all defaults filled in. */
export type CompleteOptions<Table extends OptionTable> = { readonly [Name in keyof Table]: ValueIn<Table[Name]> };

/** Names of a table's options in a scope. */
export type NamesIn<Table extends OptionTable, Scope extends OptionScope> = {
  [Name in keyof Table]: Table[Name]["scope"] extends Scope ? Name : never;
}[keyof Table];

/** An option with values of a kind. */
export function option<T, const Scope extends OptionScope>(
  kind: Kind<T>,
  rest: NoInfer<Omit<NetworkOption<T>, keyof Kind<T> | "scope">> & { readonly scope: Scope },
): NetworkOption<T, Scope> {
  return { ...kind, ...rest };
}

/** The options of all families except the seed, which comes last. */
export const sharedOptions = {
  /** `[height, width, channels]`; each family has its own smallest image. */
  inputShape: option(imageShape(), {
    scope: "task",
    about: "height, width and channels of the images",
    default: [299, 299, 3],
  }),
  /** Number of classes. */
  classes: option(wholeNumber({ from: 1 }), { scope: "task", about: "number of classes", default: 1000 }),
  /** Global pooling and classifier on top. */
  includeTop: option(onOff(), { scope: "task", about: "global pooling and the classifier", default: true }),
  /** Without the top: pooling of the last feature maps. */
  pooling: option(choice("none", "avg", "max"), {
    scope: "task",
    about: "without the top: how the last feature maps are pooled",
    default: "none",
    applies: "without top",
  }),
  /** Activation of the classifier; `none` gives logits. */
  classifierActivation: option(choice("softmax", "sigmoid", "none"), {
    scope: "task",
    about: "activation of the classifier; none gives logits",
    default: "softmax",
  }),
  /** Multiplies every channel count, rounded to a multiple of 8; 0.25 suits a laptop. */
  width: option(number({ above: 0, to: 16 }), {
    scope: "network",
    about: "multiplies every channel count, e.g. 0.25",
    default: 1,
  }),
  /** Share of features set to 0 before the classifier while training, 0 ≤ rate < 1; the paper used 0.5 on ImageNet. */
  dropout: option(number({ from: 0, below: 1 }), {
    scope: "network",
    about: "share of features set to 0 before the classifier while training",
    default: 0,
    applies: "with top",
  }),
};

/** Seed of the initial weights. */
export const seedOption = option(wholeNumber({ from: 0 }), {
  scope: "task",
  about: "seed of the initial weights",
  default: 0,
});

/** Options of all families. */
export type SharedOptions = OptionsOf<typeof sharedOptions & { readonly seed: typeof seedOption }>;

/** Fills in all defaults, for model files: so their networks do not change with the defaults. */
export function completeOptions<Table extends OptionTable>(
  table: Table,
  options: OptionsOf<Table>,
): CompleteOptions<Table> {
  const defaults = Object.entries(table).map(([name, option]) => [name, option.default]);
  return { ...Object.fromEntries(defaults), ...definedOnly(options) };
}

/** The entries of an object that are not undefined. */
export function definedOnly<T extends object>(given: T): T {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as T;
}

/** The options of a family, with their owner's name for errors and the smallest height and width of an image. */
export interface OwnedOptions<Table extends OptionTable = OptionTable> {
  readonly owner: string;
  readonly smallest: number;
  readonly table: Table;
}

/**
 * Fills in defaults and validates options.
 * @throws {UsageError} naming the option, the value and the allowed ones.
 */
export function checkedOptions<Table extends OptionTable>(
  owned: OwnedOptions<Table>,
  options: OptionsOf<Table>,
): CompleteOptions<Table> {
  const { owner, table } = owned;
  const complete = completeOptions(table, options);
  const where = (name: string): string => `${owner} option "${name}"`;
  for (const [name, value] of Object.entries(complete)) {
    if (!Object.hasOwn(table, name)) {
      const expected = oneOf(Object.keys(table));
      throw new UsageError({ where: where(name), what: "there is no such option", expected });
    }
    assertOption(where(name), value, table[name]!);
  }
  assertTogether(owned, complete, where);
  return complete;
}

/**
 * Checks that images are large enough, and that options apply with or without the top.
 * @param where names an option in errors.
 * @throws {UsageError} one does not apply and is not its default.
 */
export function assertTogether(
  { smallest, table }: Pick<OwnedOptions, "smallest" | "table">,
  options: Readonly<Record<string, unknown>>,
  where: (name: string) => string,
): void {
  const { includeTop = true, inputShape = [smallest, smallest] } = options as SharedOptions;
  for (const [name, { applies, default: value }] of Object.entries(table)) {
    const { [name]: received = value } = options;
    if (applies === undefined || (applies === "with top") === includeTop) continue;
    if (sameValue(received, value)) continue;
    const what = includeTop
      ? "this applies only without the top (includeTop: false, or --no-top)"
      : "this applies only with the top, which is left out";
    throw new UsageError({ where: where(name), what, received });
  }
  const isLarge = Math.min(inputShape[0], inputShape[1]) >= smallest;
  assertAllowed(where("inputShape"), inputShape, isLarge, `height and width of at least ${smallest}×${smallest}`);
}

/** Returns whether two values of an option are equal, lists by their elements. */
export function sameValue(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Returns a function that multiplies a paper's channel count by `width`, to a multiple of 8, at least 8. */
export function scaling(width: number): (filters: number) => number {
  if (width === 1) return (filters) => filters;
  return (filters) => Math.max(8, Math.round((filters * width) / 8) * 8);
}

/** Returns the activation of an option that may be `none`. */
export function activationOf<T extends ActivationName>(option: T | "none"): T | "linear" {
  return option === "none" ? "linear" : option;
}

/** Height, width and channels, which a flag writes as `299x299x3`. */
function imageShape(): Kind<readonly [height: number, width: number, channels: number]> {
  const side = wholeNumber({ from: 1, to: 8192 });
  const kind = tupleOf([side, side, wholeNumber({ from: 1 })], {
    separator: "x",
    expected: "height, width (both up to 8192) and channels as whole numbers, e.g. 299x299x3",
    placeholder: "<HxWxC>",
  });
  return { ...kind, read: (text) => kind.read(text.replaceAll("×", "x")) };
}
