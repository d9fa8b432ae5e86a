import { UsageError } from "../errors.ts";
import type { ActivationName } from "../graph/layers.ts";

/** Largest height and width: beyond, an image's feature maps fit no memory. */
const maximumInputSize = 8192;

/** What the top of every architecture can be told. */
interface GivenTop {
  readonly classes: number;
  readonly includeTop: boolean;
  readonly pooling: string;
  readonly classifierActivation: string;
  readonly dropout: number;
  readonly fcUnits: readonly number[];
}

/** Refuses options of an architecture: each method throws a UsageError that names the option, the value and what is allowed. */
export class OptionChecks {
  readonly #architecture: string;

  constructor(architecture: string) {
    this.#architecture = architecture;
  }

  /** @param known names of all options, in the order in which a message lists them. */
  nothingElse(unknown: object, known: readonly string[]): void {
    for (const name of Object.keys(unknown)) {
      throw new UsageError({
        where: this.#where(name),
        what: "there is no such option",
        expected: `${known.slice(0, -1).join(", ")} or ${known.at(-1)}`,
      });
    }
  }

  oneOf(name: string, value: string, allowed: readonly string[]): void {
    this.#check(name, value, allowed.includes(value), `one of ${allowed.map((each) => `"${each}"`).join(", ")}`);
  }

  flag(name: string, value: unknown): void {
    this.#check(name, value, typeof value === "boolean", "true or false");
  }

  integer(name: string, value: number, min: number, max: number): void {
    const fits = Number.isInteger(value) && value >= min && value <= max;
    this.#check(name, value, fits, `an integer from ${min} to ${max}`);
  }

  range(name: string, value: number, isInside: boolean, expected: string): void {
    this.#check(name, value, Number.isFinite(value) && isInside, expected);
  }

  width(value: number): void {
    this.range("width", value, value > 0 && value <= 16, "a number above 0, at most 16, e.g. 0.25");
  }

  seed(value: number): void {
    this.#check("seed", value, Number.isSafeInteger(value) && value >= 0, "an integer from 0 to 2^53 - 1");
  }

  inputShape(shape: readonly [number, number, number], minimum: number): void {
    const check = (fits: boolean, expected: string): void => this.#check("inputShape", shape, fits, expected);
    check(Array.isArray(shape) && shape.length === 3, "[height, width, channels]");
    const [rows, columns, channels] = shape;
    check(
      shape.every((size) => Number.isInteger(size)),
      "whole numbers of pixels and channels",
    );
    check(Math.min(rows, columns) >= minimum, `height and width of at least ${minimum}×${minimum}`);
    check(Math.max(rows, columns) <= maximumInputSize, `height and width of at most ${maximumInputSize}`);
    check(channels >= 1, "at least one channel, usually 3");
  }

  top({ classes, includeTop, pooling, classifierActivation, dropout, fcUnits }: GivenTop): void {
    this.oneOf("pooling", pooling, ["none", "avg", "max"]);
    this.oneOf("classifierActivation", classifierActivation, ["softmax", "sigmoid", "none"]);
    this.flag("includeTop", includeTop);
    this.#check("classes", classes, Number.isInteger(classes) && classes >= 1, "an integer of at least 1");
    this.range("dropout", dropout, dropout >= 0 && dropout < 1, "a number from 0 up to, not including, 1");
    const unitsFit = Array.isArray(fcUnits) && fcUnits.every((units) => Number.isInteger(units) && units >= 1);
    this.#check("fcUnits", fcUnits, unitsFit, "a list of positive integers, e.g. [4096, 4096]");
    const needsPooling = !includeTop || pooling === "none";
    this.#check("pooling", pooling, needsPooling, '"none" with includeTop, which has its own pooling');
    const noDropout = includeTop || dropout === 0;
    this.#check("dropout", dropout, noDropout, "0 without includeTop, for it stands before the classifier");
    const noUnits = includeTop || fcUnits.length === 0;
    this.#check("fcUnits", fcUnits, noUnits, "[] without includeTop, to which these layers belong");
  }

  #check(name: string, value: unknown, fits: boolean, expected: string): void {
    if (fits) return;
    throw new UsageError({ where: this.#where(name), what: "this value is not allowed", received: value, expected });
  }

  #where(name: string): string {
    return `${this.#architecture} option "${name}"`;
  }
}

/** From a paper's number of channels to the one of a narrower or wider network: a multiple of 8, at least 8. */
export function scaling(width: number): (filters: number) => number {
  if (width === 1) return (filters) => filters;
  return (filters) => Math.max(8, Math.round((filters * width) / 8) * 8);
}

/** An option that may be `none`. */
export function activationOf<T extends ActivationName>(option: T | "none"): T | "linear" {
  return option === "none" ? "linear" : option;
}
