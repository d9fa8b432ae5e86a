import type { Random } from "../tensor/random.ts";
import { autoContrast, changeColors, changeSharpness, equalize, posterize, solarize } from "./color.ts";
import { type Affine, type Size, warp } from "./geometry.ts";

/**
 * RandAugment: a few operations drawn from a list of fourteen, all of one strength.
 * @see https://arxiv.org/abs/1909.13719
 */
export interface RandAugment {
  /** Number of operations applied to each image in sequence, 0 to 14; the paper's N. */
  readonly operations: number;
  /** Strength of all operations, 0 to 10; the paper's M. */
  readonly magnitude: number;
}

/** One operation with its argument: degrees, shares of the side, factors, bits or a threshold; 0 where it takes none. */
export interface ImageOperation {
  readonly name: OperationName;
  readonly argument: number;
}

interface OperationRule {
  /** @param strength 0 to 1. @param sign 1 or −1, drawn at random. */
  readonly argument: (strength: number, sign: number) => number;
  /** Changes pixels `[height, width, 3]` in place. */
  readonly apply: (pixels: Uint8Array, argument: number, size: Size) => void;
}

const identity: Affine = { xFromX: 1, xFromY: 0, x: 0, yFromX: 0, yFromY: 1, y: 0 };
const unchanged = { brightness: 1, contrast: 1, saturation: 1 };

const none = () => 0;
const upTo = (largest: number) => (strength: number, sign: number) => sign * largest * strength;
const factor = (strength: number, sign: number) => 1 + 0.9 * sign * strength;

/** The largest arguments are torchvision's, which come from AutoAugment. */
const rules = {
  identity: { argument: none, apply: () => {} },
  "auto-contrast": { argument: none, apply: autoContrast },
  equalize: { argument: none, apply: equalize },
  rotate: {
    argument: upTo(30),
    apply: (pixels, degrees, size) => {
      const cos = Math.cos((degrees * Math.PI) / 180);
      const sin = Math.sin((degrees * Math.PI) / 180);
      move(pixels, size, { ...identity, xFromX: cos, xFromY: sin, yFromX: -sin, yFromY: cos });
    },
  },
  solarize: { argument: (strength) => 256 * (1 - strength), apply: solarize },
  color: {
    argument: factor,
    apply: (pixels, saturation) => changeColors(pixels, { ...unchanged, saturation }),
  },
  posterize: { argument: (strength) => 8 - Math.round(4 * strength), apply: posterize },
  contrast: { argument: factor, apply: (pixels, contrast) => changeColors(pixels, { ...unchanged, contrast }) },
  brightness: { argument: factor, apply: (pixels, brightness) => changeColors(pixels, { ...unchanged, brightness }) },
  sharpness: { argument: factor, apply: (pixels, sharpness, size) => changeSharpness(pixels, size, sharpness) },
  "shear-x": {
    argument: upTo(0.3),
    apply: (pixels, shear, size) => move(pixels, size, { ...identity, xFromY: shear }),
  },
  "shear-y": {
    argument: upTo(0.3),
    apply: (pixels, shear, size) => move(pixels, size, { ...identity, yFromX: shear }),
  },
  "translate-x": {
    argument: upTo(150 / 331),
    apply: (pixels, share, size) => move(pixels, size, { ...identity, x: -share * size.width }),
  },
  "translate-y": {
    argument: upTo(150 / 331),
    apply: (pixels, share, size) => move(pixels, size, { ...identity, y: -share * size.height }),
  },
} as const satisfies Readonly<Record<string, OperationRule>>;

/** The fourteen operations of the paper. */
export type OperationName = keyof typeof rules;

const names = Object.keys(rules) as OperationName[];

/** The operations for one image; each takes two random numbers. */
export function drawOperations({ operations, magnitude }: RandAugment, random: Random): ImageOperation[] {
  return Array.from({ length: operations }, () => {
    const name = names[Math.floor(random() * names.length)]!;
    const sign = random() < 0.5 ? -1 : 1;
    return { name, argument: rules[name].argument(magnitude / 10, sign) };
  });
}

/**
 * Applies one operation to RGB `pixels` `[height, width, 3]`, in place. Positive degrees turn clockwise, positive shears and
 * translations move to the right and down.
 */
export function applyOperation(pixels: Uint8Array, { name, argument }: ImageOperation, size: Size): void {
  const rule: OperationRule = rules[name];
  rule.apply(pixels, argument, size);
}

function move(pixels: Uint8Array, size: Size, affine: Affine): void {
  warp(pixels, pixels.slice(), size, affine);
}
