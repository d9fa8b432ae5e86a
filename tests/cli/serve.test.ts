import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { builtProgram } from "../../scripts/build.mjs";
import { root } from "../../scripts/project-root.mjs";
import { createClient, ServerError } from "../../src/client/client.ts";
import { encodeModel } from "../../src/model/model-writer.ts";
import { smallModel } from "../model/small-model.ts";
import { noisePng } from "../server/noise-png.ts";
import { capture } from "./capture.ts";

let folder: string;
let model: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "xception-serve-cli-"));
  model = join(folder, "small.onnx");
  await writeFile(model, encodeModel(smallModel()));
  await writeFile(join(folder, "empty.txt"), "\n");
});
afterAll(() => rm(folder, { recursive: true }));

/** Starts the program itself; returns it and its URL once it is ready. */
async function start(command = 'exec "$@"'): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const words = [process.execPath, builtProgram(root), "serve", model, "--port", "0", "--json"];
  const child = spawn("sh", ["-c", command, "sh", ...words], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  for await (const text of child.stdout!) {
    printed += text;
    if (printed.includes("}")) break;
  }
  return { child, url: (JSON.parse(printed) as { url: string }).url };
}

describe.skipIf(process.platform === "win32")("xception serve", () => {
  it("says where it serves the model, and where to try it", async () => {
    const child = spawn(process.execPath, [builtProgram(root), "serve", model, "--port", "0"], { cwd: root });
    let printed = "";
    for await (const text of child.stdout) {
      printed += text;
      if (printed.includes("/try\n")) break;
    }
    child.kill("SIGKILL");
    const url = /at (http:\S+)\n/.exec(printed)?.[1];
    expect(printed).toBe(`Serving ${model} at ${url}\nTo try it on an image, open ${url}/try\n`);
  });

  it("answers what it has accepted before SIGTERM, refuses the rest, and exits with 0", async () => {
    const { child, url } = await start();
    const client = createClient(url);
    const png = new Uint8Array(await noisePng(1));
    const log = child.stderr!.toArray();
    expect((await client.classify(png)).predictions).toHaveLength(3);
    const replies = Array.from({ length: 30 }, () => client.classify(png).catch((error: unknown) => error));
    await Promise.race(replies);
    const exit = once(child, "exit");
    child.kill("SIGTERM");
    const results = await Promise.all(replies);
    // Those that had not arrived yet are refused, or find nobody listening.
    const lost = results.filter((each) => each instanceof ServerError && each.status !== 503);
    expect(lost).toEqual([]);
    expect(results.filter((each) => !(each instanceof Error)).length).toBeGreaterThan(0);
    expect(await exit).toEqual([0, null]);
    const [stopping, finishing] = Buffer.concat(await log)
      .toString()
      .split("\n")
      .filter((line) => !line.startsWith("{") && line !== "");
    expect([stopping, finishing]).toEqual(["Stopping; once more to stop at once.", "Finishing the accepted requests."]);
  });

  it.runIf(existsSync("/dev/full"))("goes on when its log cannot be written", async () => {
    const { child, url } = await start('exec "$@" 2>/dev/full');
    const client = createClient(url);
    for (let each = 0; each < 3; each++) expect(await client.ready()).toBe(true);
    const exit = once(child, "exit");
    child.kill("SIGTERM");
    expect(await exit).toEqual([0, null]);
  });
});

it.each([
  [["missing.onnx"], 1, "missing.onnx"],
  [
    ["--port", "70000"],
    2,
    'option --port: this value is not allowed; received "70000"; expected a whole number from 0 to 65535.',
  ],
  [["--max-batch-size", "0"], 2, "option --max-batch-size: this value is not allowed"],
  [
    ["--preferred-batch-size", "4,16"],
    2,
    "option --preferred-batch-size: a batch is larger than --max-batch-size; received [4, 16]; expected sizes up to 8.",
  ],
  [["--api-key-file", "empty.txt"], 2, "option --api-key-file: the file has no key"],
])("refuses %j", async (words, exitCode, message) => {
  const [first] = words;
  const args = first!.startsWith("--") ? [model, ...words] : [join(folder, first!)];
  const resolved = args.map((word) => (word === "empty.txt" ? join(folder, word) : word));
  const result = await capture(["serve", ...resolved, "--port", "0"].slice(0, words[0] === "--port" ? -2 : undefined));
  expect([result.exitCode, result.stderr]).toEqual([exitCode, expect.stringContaining(message)]);
});

it("describes itself", async () => {
  const { exitCode, stdout } = await capture(["serve", "--help"]);
  expect(exitCode).toBe(0);
  for (const flag of ["--max-queue-delay-microseconds", "--grace", "--grpc-port", "--allow-url"])
    expect(stdout).toContain(flag);
});
