import { expect, it } from "vitest";
import { soak } from "./soaking.ts";

it("answers stay the same between loads and hostile files; `npm run soak` does this for long, and watches the memory", async () => {
  const { answers, rejected, memoryMib } = await soak({ calls: 400, loads: 40, hostile: 200 });
  expect({ answers, rejected }).toEqual({ answers: 440, rejected: 200 });
  expect(memoryMib).toHaveLength(40);
});
