import { expect, test } from "vitest";
import { importProblems } from "./import-rules.ts";
import { projectFiles, readProjectFile } from "./project-files.ts";

test("src/ and apps/ keep the import rule", () => {
  const files = projectFiles().filter((file) => /^(src|apps)\/.*\.ts$/.test(file));
  expect(files.length).toBeGreaterThan(20);
  expect(importProblems(new Map(files.map((file) => [file, readProjectFile(file)])))).toEqual([]);
});

test.each([
  ["src/graph/a.ts", 'import { b } from "../models/b.ts";', "up, graph (1) → models (2)"],
  ["src/models/a.ts", 'import type { B } from "../compiler/b.ts";', "sideways, models (2) → compiler (2)"],
  ["src/models/a.ts", 'export * from "../model/b.ts";', "up, models (2) → model (4)"],
  ["src/train/step/a.ts", 'import "../b.ts";', "up, train/step (4) → train (7)"],
  ["src/tasks/verify/a.ts", 'type B = import("../../index.ts").B;', "up, tasks/verify (6) → entry (8)"],
  ["apps/server/a.ts", 'await import(\n  "../web/b.ts"\n);', "sideways, server (9) → web (9)"],
  ["src/data/a.ts", "import fs from 'node:fs';", "src/data/a.ts imports node:fs: not allowed Node"],
  ["src/runtime/web/a.ts", 'import "sharp";', "src/runtime/web/a.ts imports sharp: not allowed Node"],
  [
    "src/train/a.ts",
    'import { n } from "../runtime/node/platform.ts";',
    "imports src/runtime/node/platform.ts: not allowed Node",
  ],
  ["src/index.ts", 'export * from "./node.ts";', "src/index.ts imports src/node.ts: not allowed Node"],
  ["src/report/a.ts", "const home = process.env.HOME;", "src/report/a.ts imports global process: not allowed Node"],
  ["src/runtime/node/platform.ts", 'import "onnxruntime-node";', "not allowed the native engine"],
  ["src/runtime/node/platform.ts", 'import * as o from "onnxruntime-web";', "not allowed the engine in WebAssembly"],
  ["src/train/a.ts", 'import { p } from "../runtime/web/platform.ts";', "not allowed the browser"],
  ["src/helpers/a.ts", "export {};", "src/helpers/a.ts: belongs to no unit"],
  ["src/tasks/other/a.ts", "export {};", "src/tasks/other/a.ts: belongs to no unit"],
])("finds what is wrong in %s: %s", (file, text, problem) => {
  const problems = importProblems(new Map([[file, text]]));
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain(problem);
});

test("finds a cycle, through type imports too", () => {
  const sources = new Map([
    ["src/graph/a.ts", 'import "./b.ts";'],
    ["src/graph/b.ts", 'import type { C } from "./c.ts";'],
    ["src/graph/c.ts", 'export { A } from "./a.ts";'],
    ["src/graph/d.ts", 'import "./a.ts";'],
  ]);
  expect(importProblems(sources)).toEqual([
    "import cycle: src/graph/a.ts → src/graph/b.ts → src/graph/c.ts → src/graph/a.ts",
  ]);
});

test("accepts what is right, and is not fooled by comments and strings", () => {
  const sources = new Map([
    ["src/tensor/a.ts", 'import { E } from "../errors.ts";\n// import "../tasks/t.ts";\n/* from "sharp" */'],
    ["src/base/errors.ts", 'export const glob = "**/*.ts";\nexport const words = ["process.env", "a // b"];'],
    ["src/runtime/node/engine.ts", 'import "node:fs";\nimport "onnxruntime-node";\nimport "../platform.ts";'],
    [
      "apps/cli/a.ts",
      'import "../../src/runtime/node/engine.ts";\nimport "../../src/tasks/step/t.ts";\nprocess.exit(0);',
    ],
    ["src/train/step/t.ts", 'import { x } from "../../models/m.ts";\nconst { process } = x;\nthis.process.y = 1;'],
    ["src/models/m.ts", 'import "commander";'],
  ]);
  expect(importProblems(sources)).toEqual([]);
});
