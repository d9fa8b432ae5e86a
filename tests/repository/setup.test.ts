import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { checkNodeVersion, missingPackages, supportedNode } from "../../scripts/install.mjs";
import { root } from "../../scripts/project-root.mjs";
import { readProjectFile } from "./project-files.ts";

const folder = mkdtempSync(join(tmpdir(), "xception-setup-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("an old Node is refused, with the version to install", () => {
  expect(() => checkNodeVersion("20.18.3")).toThrow(
    "Node 20.18.3 is not supported; expected ^20.19.0 || >=22.12.0. Install it from https://nodejs.org or with a version manager.",
  );
  for (const version of ["18.20.0", "21.7.3", "22.11.0"])
    expect(() => checkNodeVersion(version)).toThrow(`Node ${version} is not supported`);
  for (const version of ["20.19.0", "20.20.2", "22.12.0", "24.1.0"])
    expect(() => checkNodeVersion(version)).not.toThrow();
  expect(JSON.parse(readProjectFile("package.json"))).toHaveProperty("engines.node", supportedNode);
});

test("packages are missing when absent, of another version or deleted, but not when made for another machine", () => {
  const project = write("project", {
    "package-lock.json": lock({ "": {}, a: "1.0.0", b: "2.0.0", c: "1.0.0", d: "1.0.0" }, { e: "1.0.0" }),
    "node_modules/.package-lock.json": lock({ a: "1.0.0", b: "1.9.0", c: "1.0.0" }),
    "node_modules/a/package.json": "{}",
    "node_modules/b/package.json": "{}",
  });
  expect(missingPackages(project)).toEqual(["node_modules/b", "node_modules/c", "node_modules/d"]);
});

test("nothing is missing here, and everything is in a fresh clone", () => {
  expect(missingPackages(root)).toEqual([]);
  expect(missingPackages(write("clone", { "package-lock.json": lock({ "": {}, a: "1.0.0" }) }))).toEqual([
    "node_modules/a",
  ]);
});

test("a build without packages names the command that installs them", () => {
  const one = write("one", { "package-lock.json": lock({ "": {}, a: "1.0.0" }) });
  expect(runSetup(one, "build")).toEqual({
    status: 1,
    stderr:
      "setup: 1 package is missing or outdated. Run `npm ci` first; `npm start` and `npm test` do it themselves.\n",
  });
  const two = write("two", { "package-lock.json": lock({ "": {}, a: "1.0.0", b: "1.0.0" }) });
  expect(runSetup(two, "build").stderr).toMatch(/^setup: 2 packages are missing or outdated\./);
});

test("an npm that fails ends the setup with one clear line", () => {
  const project = write("no-json", { "package.json": "{", "package-lock.json": lock({ a: "1.0.0" }) });
  const { status, stderr } = runSetup(project);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^setup: installing packages with npm ci \(1 missing or outdated\)$/m);
  expect(stderr.trimEnd().split("\n").at(-1)).toBe(
    "setup: npm ci failed (exit code 1). Check the connection to the npm registry, then run the command again.",
  );
});

test("the build follows the sources, and one with errors leaves the last good one in place", () => {
  const project = buildable("built");
  const builtFiles = () => filesIn(join(project, "dist"));

  expect(runSetup(project)).toEqual({ status: 0, stderr: "setup: building dist/\n" });
  expect(builtFiles()).toEqual([".sources", "apps", "apps/cli", "apps/cli/main.js", "src", "src/a.js"]);
  if (process.platform !== "win32") expect(statSync(join(project, "dist/apps/cli/main.js")).mode & 0o111).toBe(0o111);
  expect(runSetup(project)).toEqual({ status: 0, stderr: "" });

  rmSync(join(project, "src/a.ts"));
  write("built", { "src/b.ts": "export const b = 2;" });
  expect(runSetup(project)).toEqual({ status: 0, stderr: "setup: building dist/\n" });
  expect(builtFiles()).toEqual([".sources", "apps", "apps/cli", "apps/cli/main.js", "src", "src/b.js"]);

  write("built", { "src/b.ts": "export const b: number = 'two';" });
  const { status, stderr } = runSetup(project);
  expect(status).toBe(1);
  expect(stderr).toContain("src/b.ts(1,14): error TS2322");
  expect(stderr.trimEnd().split("\n").at(-1)).toBe(
    "setup: the sources do not compile, the compiler's messages stand above.",
  );
  expect(readFileSync(join(project, "dist/src/b.js"), "utf8")).toContain("b = 2");
  expect(readdirSync(project).filter((name) => name.startsWith("dist."))).toEqual([]);
});

test("builds at the same time do not destroy each other's", async () => {
  const project = buildable("contested");
  runSetup(project);
  const complete = filesIn(join(project, "dist"));
  // Deleting the old folder takes a while.
  const many = Array.from({ length: 2000 }, (_, index) => [`dist/old/${index}.js`, ""]);
  write("contested", { ...Object.fromEntries(many), "src/a.ts": "export const a = 3;" });
  const builds = [1, 2].map(() => spawn(process.execPath, [join(project, "scripts/setup.mjs")]));
  expect(await Promise.all(builds.map((child) => once(child, "exit")))).toEqual(Array(2).fill([0, null]));
  expect(filesIn(join(project, "dist"))).toEqual(complete);
  expect(readdirSync(project).filter((name) => name.startsWith("dist."))).toEqual([]);
});

/** A project of two sources. */
function buildable(name: string): string {
  const project = write(name, {
    "package-lock.json": lock({}),
    "tsconfig.build.json": '{ "compilerOptions": { "noEmitOnError": true, "types": [] }, "include": ["src", "apps"] }',
    "src/a.ts": "export const a: number = 1;",
    "apps/cli/main.ts": "export const main = 1;",
  });
  mkdirSync(join(project, "node_modules"));
  symlinkSync(join(root, "node_modules", "typescript"), join(project, "node_modules", "typescript"), "junction");
  return project;
}

function filesIn(path: string): readonly string[] {
  return readdirSync(path, { recursive: true, encoding: "utf8" }).sort();
}

function runSetup(project: string, ...args: readonly string[]): { status: number | null; stderr: string } {
  for (const script of ["setup.mjs", "install.mjs", "build.mjs", "project-root.mjs"]) {
    cpSync(join(root, "scripts", script), join(project, "scripts", script));
  }
  const setup = join(project, "scripts", "setup.mjs");
  const { status, stderr } = spawnSync(process.execPath, [setup, ...args], { encoding: "utf8" });
  return { status, stderr };
}

function write(project: string, files: Readonly<Record<string, string>>): string {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, project, file)), { recursive: true });
    writeFileSync(join(folder, project, file), text);
  }
  return join(folder, project);
}

function lock(
  packages: Readonly<Record<string, string | object>>,
  optional: Readonly<Record<string, string>> = {},
): string {
  const entry = (name: string, version: string | object, extra: object) =>
    typeof version === "string" ? [`node_modules/${name}`, { version, ...extra }] : [name, version];
  return JSON.stringify({
    packages: Object.fromEntries([
      ...Object.entries(packages).map(([name, version]) => entry(name, version, {})),
      ...Object.entries(optional).map(([name, version]) => entry(name, version, { optional: true })),
    ]),
  });
}
