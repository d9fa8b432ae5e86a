import { expect, test } from "vitest";
import { WorkQueue } from "../../src/base/work-queue.ts";

test("one piece of work begins when the one before is over, and gives its own result", async () => {
  const queue = new WorkQueue();
  const events: string[] = [];
  const work = (name: string, waits: number) => async () => {
    events.push(`${name} begins`);
    for (let turn = 0; turn < waits; turn++) await Promise.resolve();
    events.push(`${name} ends`);
    return name;
  };
  const results = await Promise.all([queue.add(work("long", 20)), queue.add(work("short", 1))]);
  expect(results).toEqual(["long", "short"]);
  expect(events).toEqual(["long begins", "long ends", "short begins", "short ends"]);
});

test("an error belongs to its own work: the next one goes on", async () => {
  const queue = new WorkQueue();
  const failing = queue.add(() => Promise.reject(new RangeError("no memory")));
  const next = queue.add(async () => 7);
  await expect(failing).rejects.toThrow("no memory");
  await expect(next).resolves.toBe(7);
});
