import { expect, test } from "vitest";
import { projectFiles, readProjectFile } from "./project-files.ts";

interface Lock {
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

interface LockedPackage {
  readonly resolved?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const files = projectFiles();
const lock = JSON.parse(readProjectFile("package-lock.json")) as Lock;

test("no source file has more than 400 lines", () => {
  const long = files
    .filter((file) => /\.(ts|mjs)$/.test(file))
    .map((file) => `${file}: ${readProjectFile(file).trimEnd().split("\n").length}`)
    .filter((line) => Number(line.split(": ")[1]) > 400);
  expect(long).toEqual([]);
});

test("nothing is filed under a name that says nothing", () => {
  expect(files.filter((file) => /(^|\/)(utils?|helpers?|misc|common)(\/|\.)/.test(file))).toEqual([]);
});

test("no file names a folder of somebody's machine or the host of a registry", () => {
  const telltale =
    /(?<![\w.~/-])\/(?:home|root|Users|tmp|work|mnt)\/[\w.-]+|https?:\/\/[\w.-]*(?:registry|mirror|proxy)[\w.-]*/g;
  const text = files.filter((file) => /\.(ts|mjs|js|json|md|txt|csv|html|svg|ya?ml)$|(^|\/)[^/.]+$|rc$/.test(file));
  expect(
    text.flatMap(
      (file) =>
        readProjectFile(file)
          .match(telltale)
          ?.map((found) => `${file}: ${found}`) ?? [],
    ),
  ).toEqual([]);
});

test("the lock file names no host and knows the packages of every kind of machine", () => {
  const entries = Object.entries(lock.packages);
  expect(entries.filter(([, { resolved }]) => resolved !== undefined).map(([path]) => path)).toEqual([]);
  const unknown = entries.flatMap(([, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) => !entries.some(([path]) => path.endsWith(`node_modules/${name}`)),
    ),
  );
  expect(unknown).toEqual([]);
});

test("modules that a measurement takes of the built package are there", () => {
  const named = [...readProjectFile("bench/read-weights-once.mjs").matchAll(/built\("([^"]+)"\)/g)];
  expect(named.map(([, path]) => `src/${path}.ts`).filter((path) => !files.includes(path))).toEqual([]);
  expect(named).toHaveLength(3);
});
