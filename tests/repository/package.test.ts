import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { build } from "../../scripts/build.mjs";
import { root } from "../../scripts/project-root.mjs";
import { projectFiles, readProjectFile } from "./project-files.ts";

interface Exports {
  readonly [entry: string]: string | { readonly types: string; readonly default: string };
}

beforeAll(() => build(root));

test("the package holds the program, its types and its papers, and nothing else", () => {
  const [packed] = JSON.parse(npm("pack", "--dry-run", "--json", "--loglevel=error")) as [
    { files: { path: string }[] },
  ];
  const files = packed.files.map(({ path }) => path);
  for (const needed of [
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "docs/install.md",
    "package.json",
    "dist/apps/cli/main.js",
    "dist/src/index.js",
    "dist/src/index.d.ts",
    "dist/src/node.js",
    "dist/src/node.d.ts",
    "dist/web/index.html",
    "dist/web/emoji.onnx",
  ]) {
    expect(files).toContain(needed);
  }
  expect(
    files.filter(
      (file) =>
        !/^(dist\/(src|apps)\/.*\.(js|d\.ts)|dist\/web\/.*|docs\/.*\.(md|yaml)|LICENSE|[A-Z]+\.md|package\.json)$/.test(
          file,
        ),
    ),
  ).toEqual([]);
});

test("the package says where it comes from", () => {
  const { repository, homepage, bugs, bin } = packageJson;
  expect(repository.url).toMatch(/^git\+https:\/\/.*\.git$/);
  const address = repository.url.slice("git+".length, -".git".length);
  expect([homepage, bugs]).toEqual([`${address}#readme`, `${address}/issues`]);
  // npx runs the program that is called as the package.
  expect(bin["xception-ts"]).toBe(bin.xception);
});

test("no document runs npm's package `xception`, which is another project's", () => {
  const documents = projectFiles().filter((file) =>
    /^(README|CONTRIBUTING|ARCHITECTURE|SECURITY|docs\/.*)(\.md)$/.test(file),
  );
  expect(documents.length).toBeGreaterThan(10);
  expect(documents.filter((file) => /\bnpx (--\S+ )*xception(?!-ts)\b/.test(readProjectFile(file)))).toEqual([]);
});

test("every entry can be imported by name", () => {
  const { exports, name } = JSON.parse(readProjectFile("package.json")) as { exports: Exports; name: string };
  const entries = Object.keys(exports).filter((entry) => !entry.endsWith(".json"));
  expect(entries).toEqual([".", "./node", "./web", "./web-worker", "./web-thread"]);
  // Browsers import the others, see tests/browser.
  for (const entry of entries.slice(0, 2)) {
    const script = `import * as all from "${name}${entry.slice(1)}"; console.log(all.countParameters(all.networkWeights(all.xception())).total);`;
    const printed = execFileSync(process.execPath, ["--input-type=module", "--eval", script], { cwd: root });
    expect(printed.toString().trim()).toBe("22910480");
  }
});

test("the types reach a project that uses the package", () => {
  const folder = mkdtempSync(join(root, "dist", "consumer-"));
  try {
    const use = `
      import { type Network, xception } from "xception-ts";
      import { nodePlatform } from "xception-ts/node";
      export const network: Network = xception({ classes: "ten" });
      export const size: string = (await nodePlatform.images.decode("a.png", {})).width;
    `;
    writeFileSync(join(folder, "use.mts"), use);
    const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
    const flags = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2023", "--types", "node"];
    const { stdout } = spawnSync(process.execPath, [compiler, "--ignoreConfig", ...flags, join(folder, "use.mts")], {
      cwd: root,
      encoding: "utf8",
    });
    expect(stdout.match(/error TS.*/g)).toEqual([
      "error TS2322: Type 'string' is not assignable to type 'number'.",
      "error TS2322: Type 'number' is not assignable to type 'string'.",
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("npx finds the program in the clone", () => {
  const { version } = JSON.parse(readProjectFile("package.json")) as { version: string };
  for (const program of ["xception-ts", "xception"]) {
    expect(npm("exec", "--no", "--", program, "--version").trim()).toBe(version);
  }
});

function npm(...args: readonly string[]): string {
  return execFileSync("npm", args, { cwd: root, encoding: "utf8", shell: process.platform === "win32" });
}
