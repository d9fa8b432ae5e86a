import { expect, test, vi } from "vitest";
import { outcomeOf } from "./reader.ts";
import { caseOf, readers } from "./readers.ts";

/** Cases are always the same ones; `npm run fuzz` tries more, each reader in a process of its own. */
const count = 200;

test.each(readers)(
  "$name: a damaged file is read or refused, with its name, and nothing is printed",
  async (reader) => {
    const streams = (["log", "warn", "error"] as const).map((stream) => vi.spyOn(console, stream).mockReturnValue());
    const cases = await reader.cases();
    const outcomes = new Set<string>();
    for (let index = 0; index < count; index++) {
      const content = caseOf(cases, index);
      const outcome = await outcomeOf(reader, content).catch((cause: unknown) => {
        throw new Error(`npm run fuzz -- --reader "${reader.name}" --case ${index}`, { cause });
      });
      outcomes.add(outcome);
    }
    for (const stream of streams) {
      expect(stream).not.toHaveBeenCalled();
      stream.mockRestore();
    }
    // Where nothing can be read any more, only the first lines of a reader are tried.
    expect([...outcomes].sort()).toEqual(["read", "refused"]);
  },
);
