import { expect, test } from "vitest";
import { projectFiles, readProjectFile } from "./project-files.ts";

const sources = new Map(
  projectFiles()
    .filter((file) => /^(src|apps)\/.*\.ts$/.test(file))
    .map((file) => [file, readProjectFile(file)]),
);

test("two exported things never share a name", () => {
  const places = new Map<string, string[]>();
  for (const [file, text] of sources) {
    for (const [, name] of text.matchAll(
      /^export (?:abstract |async )*(?:function\*?|const|class|interface|type) (\w+)/gm,
    )) {
      places.set(name!, [...(places.get(name!) ?? []), file]);
    }
  }
  expect(places.size).toBeGreaterThan(500);
  expect([...places].filter(([, files]) => files.length > 1)).toEqual([]);
});
