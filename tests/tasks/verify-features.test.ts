import { expect, test } from "vitest";
import { parsePhotoGolden } from "../../src/tasks/verify/golden.ts";

const map = {
  shape: [3, 4, 2],
  mean: 0.5,
  std: 2,
  min: -1,
  max: 3,
  at_0_0: [1, 2],
  at_center: [3, 4],
  at_last: [5, 6, 9],
};
const features = { layers: ["add"], images: { cat: { add: map }, dog: { add: { ...map, mean: 7 } } } };

test("samples stand at the first, the middle and the last pixel", () => {
  // 3×4 pixels of 2 channels: the middle one is in row 1, column 2, the sixth after the first.
  expect(parsePhotoGolden(JSON.stringify(features), "f.json")).toEqual({
    taps: {
      add: {
        shape: [1, 3, 4, 2],
        mean: 0.5,
        std: 2,
        min: -1,
        max: 3,
        at: [0, 1, 12, 13, 22, 23],
        values: [1, 2, 3, 4, 5, 6],
      },
    },
  });
  expect(parsePhotoGolden(JSON.stringify(features), "f.json", "dog").taps.add!.mean).toBe(7);
});

test.each([
  ["no JSON", "{", undefined, 'golden file "f.json", character 1: this is not JSON.'],
  [
    "no photos",
    JSON.stringify({ layers: ["add"] }),
    undefined,
    'golden file "f.json", field images: it is missing; expected an object.',
  ],
  [
    "another photo",
    JSON.stringify(features),
    "cow",
    'golden file "f.json", field images: there is no such image; received "cow"; expected cat, dog.',
  ],
  [
    "a layer without its map",
    JSON.stringify({ ...features, layers: ["add_1"] }),
    "dog",
    'golden file "f.json", dog, layer "add_1": it is missing; expected an object.',
  ],
])("refuses %s", (_, text, image, message) => {
  expect(() => parsePhotoGolden(text, "f.json", image)).toThrow(message);
});
