import { expect, it } from "vitest";
import { checkpointClock } from "../../src/train/checkpoint-keeper.ts";

it("saves after epochs and after minutes, but spends no more than 3 % of the time on it", async () => {
  let now = 100;
  const clock = checkpointClock({ everyMinutes: 2 }, 0, () => now);
  expect(clock.isDue(1, false)).toBe(false);
  // No save has cost anything yet.
  expect(clock.isDue(1, true)).toBe(true);
  now += 120;
  expect(clock.isDue(2, false)).toBe(true);
  await clock.time(2, async () => {
    now += 6;
  });
  // 6 s are 3 % of 200 s.
  for (const [seconds, afterEpoch, between] of [
    [0, false, false],
    [119, false, false],
    [199, false, false],
    [201, true, true],
  ] as const) {
    now = 226 + seconds;
    expect([clock.isDue(9, true), clock.isDue(9, false)]).toEqual([afterEpoch, between]);
  }
});

it("saves after as many steps as asked for, whatever it costs", async () => {
  let now = 0;
  const clock = checkpointClock({ everySteps: 3 }, 10, () => now);
  expect([11, 12, 13].map((steps) => clock.isDue(steps, false))).toEqual([false, false, true]);
  await clock.time(13, async () => {
    now += 1000;
  });
  expect([13, 15, 16].map((steps) => clock.isDue(steps, true))).toEqual([false, false, true]);
});
