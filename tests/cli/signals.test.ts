import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { build } from "../../scripts/build.mjs";
import { root } from "../../scripts/project-root.mjs";
import { AbortedError } from "../../src/base/errors.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { verifyModel } from "../../src/tasks/verify/model.ts";
import { branchesModel } from "../model/branches.ts";
import { doublingFunctions, endlessLoop, writeGraph } from "../model/hostile-graphs.ts";
import { smallModel } from "../model/small-model.ts";

const folder = mkdtempSync(join(tmpdir(), "xception-signals-"));
afterAll(() => rmSync(folder, { recursive: true }));
const endless = writeGraph(folder, "endless", endlessLoop());
const doubling = writeGraph(folder, "doubling", doublingFunctions());
const model = join(folder, "model.onnx");
const branching = join(folder, "branches.onnx");
const image = join(folder, "image.png");
beforeAll(async () => {
  build(root);
  writeFileSync(model, encodeModel(smallModel()));
  writeFileSync(branching, branchesModel(60, 30));
  await sharp({ create: { width: 8, height: 8, channels: 3, background: "red" } }).toFile(image);
});

function start(argv: readonly string[]): ChildProcess {
  return spawn(process.execPath, [join(root, "dist/apps/cli/main.js"), ...argv], {
    stdio: ["ignore", "ignore", "pipe"],
  });
}

/** The process in which a command runs the engine, once it has started. */
async function engineOf(command: ChildProcess): Promise<number> {
  let found = "";
  await expect
    .poll(
      () => {
        expect(command.exitCode).toBe(null);
        try {
          found = execFileSync("pgrep", ["-P", String(command.pid), "-f", "engine-process"], { encoding: "utf8" });
        } catch {
          // There is none yet.
        }
        return found;
      },
      { interval: 200 },
    )
    .not.toBe("");
  // It is loading the graph, or will.
  await new Promise((resolve) => setTimeout(resolve, 1500));
  return Number(found);
}

const inputs = ["branches.onnx", "doubling.onnx", "endless.onnx", "image.png", "model.onnx"];

describe.runIf(process.platform === "linux")("a command that runs a graph without end", () => {
  const output = join(folder, "output.csv");

  it.each([
    // Without anything to finish, the signal itself ends them.
    ["verify", [endless], "SIGINT", null],
    ["classify", [endless, image], "SIGINT", 130],
    ["embed", [endless, image, "-o", output], "SIGTERM", 143],
  ] as const)("%s %j: %s ends it, and its engine", async (name, argv, signal, exitCode) => {
    const command = start([name, ...argv]);
    const errors = command.stderr!.toArray();
    const engine = await engineOf(command);
    command.kill(signal);
    const ended = await once(command, "close");
    expect(ended).toEqual(exitCode === null ? [null, signal] : [exitCode, null]);
    const stderr = Buffer.concat(await errors).toString();
    if (exitCode !== null) expect(stderr).toContain("it was stopped by the caller");
    await expect.poll(() => existsSync(`/proc/${engine}`)).toBe(false);
    expect(readdirSync(folder).sort()).toEqual(inputs);
  });

  it("a second Ctrl-C ends it at once", async () => {
    const command = start(["classify", endless, image]);
    const engine = await engineOf(command);
    // The first one may already have ended it when the second arrives.
    command.kill("SIGINT");
    command.kill("SIGINT");
    const [exitCode, signal] = await once(command, "close");
    expect([130, "SIGINT"]).toContain(exitCode ?? signal);
    await expect.poll(() => existsSync(`/proc/${engine}`)).toBe(false);
  });
});

it.skipIf(process.platform === "win32")("every other long command ends at once, and writes nothing", async () => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/model.onnx`;
  const out = (name: string) => ["-o", join(folder, name)];
  const cases = [
    // The engine unfolds its functions for 20 s.
    ["SIGTERM", "summary", doubling],
    ["SIGINT", "convert", url, join(folder, "out.h5")],
    ["SIGTERM", "explain", model, image, "--method", "rise", "--samples", "1000000", ...out("out.html")],
    // Laid out for minutes.
    ["SIGTERM", "plot", branching, ...out("out.svg")],
    ["SIGINT", "plot", branching, ...out("out.png")],
  ] as const;
  const ends = cases.map(async ([signal, ...argv]) => {
    const command = start(argv);
    command.stderr!.resume();
    const ended = once(command, "close");
    // By then it is busy; on a machine where it is not, it must end all the same.
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const wasRunning = command.exitCode === null;
    command.kill(signal);
    const [exitCode, killedBy] = await ended;
    return [argv[0], wasRunning, killedBy ?? exitCode];
  });
  const found = await Promise.all(ends);
  silent.closeAllConnections();
  silent.close();
  for (const [index, [name, wasRunning, end]] of found.entries()) {
    const [signal] = cases[index]!;
    expect([name, wasRunning]).toEqual([name, true]);
    expect([signal, signal === "SIGINT" ? 130 : 143]).toContain(end);
  }
  expect(readdirSync(folder).sort()).toEqual(inputs);
});

it("verify of the library heeds a signal", async () => {
  const stop = new AbortController();
  const verifying = verifyModel(endless, { platform: nodePlatform, signal: stop.signal });
  setTimeout(() => stop.abort(), 1500);
  await expect(verifying).rejects.toThrow(AbortedError);
});
