import { describe, expect, it, test } from "vitest";
import { completeOptions } from "../../src/models/options.ts";
import {
  architectureNamed,
  architectureNames,
  buildNetwork,
  completeArchitecture,
  families,
  familyNamed,
  nameOfArchitecture,
  optionsIn,
  optionsOf,
  recognizeArchitecture,
} from "../../src/models/registry.ts";

describe.each(families.map((each) => [each.family, each] as const))("the record of %s", (_, { options, names }) => {
  it("has defaults that their kinds accept, and flags that write and read them", () => {
    for (const [name, option] of Object.entries(options.table)) {
      const write = option.write as (value: unknown) => string;
      expect(option.accept(option.default), name).toEqual(option.default);
      // A flag without a value is there or not.
      if (option.placeholder !== "") expect(option.read(write(option.default)), name).toEqual(option.default);
      expect(option.about.length, name).toBeGreaterThan(0);
    }
  });

  it("has names for options that its kinds accept, each found again", () => {
    for (const [name, preset] of Object.entries(names)) {
      for (const [option, value] of Object.entries(preset)) {
        expect(options.table[option]?.accept(value), `${name} ${option}`).toEqual(value);
      }
    }
  });
});

test.each(architectureNames)("%s has its name, and options that are complete", (name) => {
  const architecture = architectureNamed(name, { classes: 3, seed: 2, width: 0.25 });
  // As read from a file.
  expect(nameOfArchitecture(JSON.parse(JSON.stringify(architecture)))).toBe(name);
  const { table } = familyNamed(name).options;
  expect(Object.keys(optionsOf(completeArchitecture(architecture)))).toEqual(Object.keys(completeOptions(table, {})));
});

test("no two families share a name or give an option of one name another meaning", () => {
  expect(new Set(architectureNames).size).toBe(architectureNames.length);
  expect(new Set(families.map(({ family }) => family)).size).toBe(families.length);
  const flagged: Readonly<Record<string, { readonly expected: string; readonly about: string }>> = optionsIn(
    "network",
    "task",
    "port",
  );
  for (const { options } of families) {
    for (const [name, { scope, expected, about }] of Object.entries(options.table)) {
      if (scope !== "name") expect({ expected, about }, name).toMatchObject({ ...pick(flagged[name]!) });
    }
  }
});

test("a network that a family builds is recognized as that family's or not at all", () => {
  for (const name of architectureNames) {
    const architecture = architectureNamed(name, { inputShape: [75, 75, 3], width: 0.1, classes: 2 });
    const found = recognizeArchitecture(buildNetwork(architecture));
    if (found !== undefined) expect(found.family).toBe(architecture.family);
  }
});

function pick({ expected, about }: { readonly expected: string; readonly about: string }) {
  return { expected, about };
}
