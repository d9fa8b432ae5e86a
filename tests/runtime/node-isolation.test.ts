import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { FormatError } from "../../src/base/errors.ts";
import { kerasFileJob } from "../../src/formats/keras/file.ts";
import { isolate } from "../../src/runtime/node/isolation.ts";
import { address } from "./isolated-jobs.ts";

const limits = { timeMs: 30_000, memoryBytes: 2 ** 24 };
const run = (name: string, ...input: unknown[]) =>
  isolate<unknown>({ module: address, name, input, where: "the file" }, limits);

test("a job's result comes back, and what it was given stays", async () => {
  const numbers = Float32Array.of(1, -0.5, Infinity);
  expect(await run("double", numbers)).toEqual(Float32Array.of(2, -1, Infinity));
  expect([...numbers]).toEqual([1, -0.5, Infinity]);
});

test("a thread that was prepared takes the next job, each thread one", async () => {
  isolate.prepare?.(address);
  isolate.prepare?.(address);
  const jobs = [run("countPreparations"), run("countPreparations"), run("double", Float32Array.of(4))];
  expect(await Promise.all(jobs)).toEqual([1, 1, Float32Array.of(8)]);
});

test("a thread that could not be prepared gives its reason to the job", async () => {
  const missing = new URL("nowhere.ts", address).href;
  isolate.prepare?.(missing);
  const job = { module: missing, name: "double", input: [], where: "the file" };
  await expect(isolate(job, limits)).rejects.toThrow(
    /^the file: reading it ended unexpectedly \(Cannot find module .*nowhere\.ts/,
  );
});

test("programs in WebAssembly are compiled there as anywhere", async () => {
  expect(await Promise.all([run("compile"), run("compile")])).toEqual([true, true]);
});

test("its errors are thrown as they were", async () => {
  const error = await run("refuse").catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(FormatError);
  expect((error as Error).message).toBe("it: this is wrong; received 7; expected 8. Try again.");
  await expect(run("fail")).rejects.toThrow("the file: reading it ended unexpectedly (a mistake).");
});

test("a job without end is ended", async () => {
  const job = { module: address, name: "forever", input: [], where: "the file" };
  await expect(isolate(job, { ...limits, timeMs: 1500 })).rejects.toThrow(
    "the file: reading it took longer than 1.5 s, so it is probably damaged. Copy or download it again.",
  );
});

test("the time that its module takes to load is not the job's", async () => {
  const module = "data:text/javascript,await new Promise((go) => setTimeout(go, 1500)); export const seven = () => 7;";
  const job = { module, name: "seven", input: [], where: "the file" };
  expect(await isolate(job, { ...limits, timeMs: 1000 })).toBe(7);
});

test("a job gets no more memory than it may have", async () => {
  const reached = (await run("largestMemory")) as number;
  expect(reached).toBeGreaterThan(limits.memoryBytes - 17 * 65536);
  expect(reached).toBeLessThanOrEqual(limits.memoryBytes);
});

test("an HDF5 file from which the library does not return is refused", async () => {
  const bytes = new Uint8Array(readFileSync(join(root, "tests/golden/formats/small.h5")));
  bytes[17953] = 13;
  await expect(isolate(kerasFileJob(bytes, "the file"), { ...limits, timeMs: 4000 })).rejects.toThrow(FormatError);
});
