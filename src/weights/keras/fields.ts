import { FormatError } from "../../errors.ts";
import type { ActivationName, Padding, Size2 } from "../../graph/layers.ts";

type Json = Readonly<Record<string, unknown>>;

const activations: readonly ActivationName[] = ["linear", "relu", "elu", "sigmoid", "softmax"];

/**
 * The fields of one layer in a `model_config`. Each getter refuses what it does not understand, by name; fields nobody
 * asks for (initializers, regularisers, constraints) only matter in training.
 */
export class KerasFields {
  /** What errors call the layer, e.g. `file.h5, Conv2D "block1_conv1"`. */
  readonly where: string;
  readonly #fields: Json;

  constructor(fields: Json, where: string) {
    this.#fields = fields;
    this.where = where;
  }

  /** @param otherwise what a missing field means, if it may be missing. */
  count(name: string, otherwise?: number): number {
    const value = this.#get(name) ?? otherwise;
    if (typeof value === "number" && Number.isInteger(value) && value >= 1) return value;
    throw this.#refuse(name, "a positive integer");
  }

  /** @param otherwise as of `count`. */
  number(name: string, otherwise?: number): number {
    const value = this.#get(name) ?? otherwise;
    if (typeof value === "number") return value;
    throw this.#refuse(name, "a number");
  }

  flag(name: string, otherwise: boolean): boolean {
    const value = this.#get(name) ?? otherwise;
    if (typeof value === "boolean") return value;
    throw this.#refuse(name, "true or false");
  }

  size(name: string, otherwise?: Size2): Size2 {
    const value = this.#get(name) ?? otherwise;
    const pair = typeof value === "number" ? [value, value] : value;
    if (Array.isArray(pair) && pair.length === 2 && pair.every((each) => Number.isInteger(each) && each >= 1)) {
      return [pair[0], pair[1]];
    }
    throw this.#refuse(name, "a positive integer or two");
  }

  padding(): Padding {
    const value = this.#get("padding") ?? "valid";
    if (value === "valid" || value === "same") return value;
    throw this.#refuse("padding", '"valid" or "same"');
  }

  /** Of a ZeroPadding2D: so many zeros at the top and the bottom, and at the left and the right. */
  zeros(): Size2 {
    const value = this.#get("padding") ?? 1;
    const sides = Array.isArray(value) ? value : [value, value];
    const [rows, columns] = sides.map((side: unknown) => {
      const [before, after]: unknown[] = Array.isArray(side) ? side : [side, side];
      return before === after ? before : undefined;
    });
    if (sides.length === 2 && isCount(rows) && isCount(columns)) return [rows, columns];
    throw this.#refuse("padding", "as many zeros before as after");
  }

  activation(): ActivationName {
    const value = this.#get("activation") ?? "linear";
    const known = activations.find((each) => each === value);
    if (known) return known;
    throw this.#refuse("activation", `one of ${activations.join(", ")}`);
  }

  /**
   * Makes sure that a field has the one value that our layers have.
   * @param allowed among them what a missing field means.
   */
  only(name: string, ...allowed: readonly unknown[]): void {
    const value = this.#get(name);
    if (value === undefined || allowed.some((each) => JSON.stringify(each) === JSON.stringify(value))) return;
    throw this.#refuse(name, allowed.map((each) => JSON.stringify(each)).join(" or "));
  }

  /** `batch_shape`, or as Keras 2 has it `batch_input_shape`, without the batch; undefined if there is none. */
  batchShape(): readonly unknown[] | undefined {
    const value = this.#get("batch_shape") ?? this.#get("batch_input_shape");
    if (value === undefined) return undefined;
    if (Array.isArray(value)) return value.slice(1);
    throw this.#refuse("batch_shape", "a list of sizes");
  }

  /** Keras writes null where nothing was given. */
  #get(name: string): unknown {
    return this.#fields[name] ?? undefined;
  }

  #refuse(name: string, expected: string): FormatError {
    return new FormatError({
      where: `${this.where}, field "${name}"`,
      what: this.#get(name) === undefined ? "the field is missing" : "this value is not supported",
      received: this.#get(name),
      expected,
    });
  }
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0;
}
