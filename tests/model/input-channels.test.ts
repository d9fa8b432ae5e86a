import { expect, test } from "vitest";
import { adaptInputChannels } from "../../src/model/update-architecture.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

// 1×2 pixels, 3 channels, 2 filters.
const kernel = floatTensor([1, 2, 3, 2], Float32Array.of(1, 10, 2, 20, 3, 30, 4, 40, 5, 50, 6, 60));

test("one channel gets the sum", () => {
  expect([...adaptInputChannels(kernel, 1).data]).toEqual([6, 60, 15, 150]);
});

test("several get the channels in turn, by 3 through their number", () => {
  const two = adaptInputChannels(kernel, 2);
  expect(two.shape).toEqual([1, 2, 2, 2]);
  expect([...two.data]).toEqual([1.5, 15, 3, 30, 6, 60, 7.5, 75]);
  const six = adaptInputChannels(kernel, 6);
  expect([...six.data.subarray(0, 12)]).toEqual([0.5, 5, 1, 10, 1.5, 15, 0.5, 5, 1, 10, 1.5, 15]);
  const four = adaptInputChannels(kernel, 4);
  expect([...four.data.subarray(0, 8)]).toEqual([0.75, 7.5, 1.5, 15, 2.25, 22.5, 0.75, 7.5]);
});

test("from one channel to three, each is a third", () => {
  const gray = floatTensor([1, 1, 1, 2], Float32Array.of(3, 30));
  expect([...adaptInputChannels(gray, 3).data]).toEqual([1, 10, 1, 10, 1, 10]);
});

test("anything else is refused", () => {
  expect(() => adaptInputChannels(floatTensor([2, 3]), 1)).toThrow(
    'adaptInputChannels: this is not the kernel of a convolution; received "2×3"; expected height×width×channels×filters.',
  );
});
