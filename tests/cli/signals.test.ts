import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../../scripts/project-root.mjs";
import { AbortedError } from "../../src/base/errors.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";
import { verifyModel } from "../../src/tasks/verify/model.ts";
import { endlessLoop, writeGraph } from "../model/hostile-graphs.ts";

const folder = mkdtempSync(join(tmpdir(), "xception-signals-"));
afterAll(() => rmSync(folder, { recursive: true }));
const endless = writeGraph(folder, "endless", endlessLoop());
const image = join(folder, "image.png");
beforeAll(async () => {
  await sharp({ create: { width: 8, height: 8, channels: 3, background: "red" } }).toFile(image);
});

function start(argv: readonly string[]): ChildProcess {
  const main = join(root, "apps/cli/main.ts");
  return spawn(process.execPath, ["--import", "tsx", main, ...argv], { stdio: ["ignore", "ignore", "pipe"] });
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
      { timeout: 120_000, interval: 200 },
    )
    .not.toBe("");
  // It is loading the graph, or will.
  await new Promise((resolve) => setTimeout(resolve, 1500));
  return Number(found);
}

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
    await expect.poll(() => existsSync(`/proc/${engine}`), { timeout: 10_000 }).toBe(false);
    expect(readdirSync(folder).sort()).toEqual(["endless.onnx", "image.png"]);
  });

  it("a second Ctrl-C ends it at once", async () => {
    const command = start(["classify", endless, image]);
    const engine = await engineOf(command);
    // The first one may already have ended it when the second arrives.
    command.kill("SIGINT");
    command.kill("SIGINT");
    const [exitCode, signal] = await once(command, "close");
    expect([130, "SIGINT"]).toContain(exitCode ?? signal);
    await expect.poll(() => existsSync(`/proc/${engine}`), { timeout: 10_000 }).toBe(false);
  });
});

it("verify of the library heeds a signal", async () => {
  const stop = new AbortController();
  const verifying = verifyModel(endless, { platform: nodePlatform, signal: stop.signal });
  setTimeout(() => stop.abort(), 1500);
  await expect(verifying).rejects.toThrow(AbortedError);
});
