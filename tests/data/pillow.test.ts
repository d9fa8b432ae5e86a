import { describe, expect, it } from "vitest";
import { changeColors, turnHue } from "../../src/data/color.ts";
import type { Size } from "../../src/data/geometry.ts";
import { applyOperation, type OperationName } from "../../src/data/rand-augment.ts";
import golden from "../golden/pillow-operations.json" with { type: "json" };

type ImageName = keyof typeof golden.images;

const decode = (pixels: string) => Uint8Array.from(Buffer.from(pixels, "base64"));
const unchanged = { brightness: 1, contrast: 1, saturation: 1 };

function ours(operation: string, argument: number, pixels: Uint8Array, size: Size): Uint8Array {
  if (operation === "hue") turnHue(pixels, argument);
  else if (operation === "brightness") changeColors(pixels, { ...unchanged, brightness: argument });
  else applyOperation(pixels, { name: operation as OperationName, argument }, size);
  return pixels;
}

/** Pillow cuts off what its blends leave after the point, and rounds the grays it blends with; we round once, at the end. */
const tolerances: Readonly<Record<string, number>> = {
  posterize: 0,
  solarize: 0,
  "auto-contrast": 0,
  equalize: 0,
  brightness: 1,
  color: 1,
  contrast: 1,
  sharpness: 1,
  hue: 0,
};

describe("as Pillow does it", () => {
  for (const { operation, argument, image, pixels } of golden.results) {
    const tolerance = tolerances[operation];
    if (tolerance === undefined) continue;
    it(`${operation} ${argument} of "${image}"`, () => {
      const source = golden.images[image as ImageName];
      const expected = decode(pixels);
      const received = ours(operation, argument, decode(source.pixels), source);
      expect(received.length).toBe(expected.length);
      const largest = received.reduce((worst, value, at) => Math.max(worst, Math.abs(value - expected[at]!)), 0);
      expect(largest).toBeLessThanOrEqual(tolerance);
    });
  }

  // Beyond the border Pillow has black and we repeat it; pixels that Pillow took from inside must agree but
  // for the last level: our weights of neighbors are cut to 1/256, and Pillow cuts off what is left after the point.
  for (const { operation, argument, pixels } of golden.results.filter(({ operation }) => !(operation in tolerances))) {
    it(`${operation} ${argument}`, () => {
      const source = golden.images.smooth;
      const expected = decode(pixels);
      const received = ours(operation, argument, decode(source.pixels), source);
      let compared = 0;
      for (let at = 0; at < expected.length; at += 3) {
        if (expected[at] === 0 && expected[at + 1] === 0 && expected[at + 2] === 0) continue;
        compared++;
        for (let channel = at; channel < at + 3; channel++) {
          expect(Math.abs(received[channel]! - expected[channel]!)).toBeLessThanOrEqual(1);
        }
      }
      expect(compared).toBeGreaterThan(0.6 * source.width * source.height);
    });
  }
});
