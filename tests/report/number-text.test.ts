import { expect, it } from "vitest";
import { asMemory, counted, withCommas, withMetricPrefix } from "../../src/report/numbers.ts";

it("groups the digits of whole numbers", () => {
  expect([0, 999, 1000, 22_910_480].map(withCommas)).toEqual(["0", "999", "1,000", "22,910,480"]);
});

it("counts in words of one or several", () => {
  expect([0, 1, 1260].map((count) => counted(count, "image"))).toEqual(["0 images", "1 image", "1,260 images"]);
  expect(counted(2, "class", "classes")).toBe("2 classes");
  expect([0.5, 1].map((points) => counted(points, "point"))).toEqual(["0.5 points", "1 point"]);
});

it("shortens to three digits and a metric prefix", () => {
  const values = [0, 864, 1000, 48_848, 398_297_088, 8_357_403_496, 68_824_000_000, 1.5e12];
  const texts = ["0", "864", "1 k", "48.8 k", "398 M", "8.36 G", "68.8 G", "1500 G"];
  expect(values.map(withMetricPrefix)).toEqual(texts);
});

it("writes memory as Keras does", () => {
  const texts = ["0.00 B", "1023.00 B", "1.00 KB", "213.00 KB", "87.40 MB", "2.00 GB", "2048.00 TB"];
  expect([0, 1023, 1024, 218_112, 91_641_920, 2 ** 31, 2 ** 51].map(asMemory)).toEqual(texts);
});
