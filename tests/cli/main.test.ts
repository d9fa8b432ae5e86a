import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { builtProgram } from "../../scripts/build.mjs";
import { root } from "../../scripts/project-root.mjs";

function start(...argv: string[]) {
  return spawn(process.execPath, [builtProgram(root), ...argv], { stdio: ["ignore", "pipe", "pipe"] });
}

describe("the process", () => {
  it("hands on the exit code and keeps stdout and stderr apart", async () => {
    const child = start("summary", "--classes", "none");
    const [stdout, stderr, [exitCode]] = await Promise.all([
      child.stdout.toArray(),
      child.stderr.toArray(),
      once(child, "close"),
    ]);
    expect(exitCode).toBe(2);
    expect(Buffer.concat(stdout).toString()).toBe("");
    expect(Buffer.concat(stderr).toString()).toBe(
      'error: option --classes: this value is not allowed; received "none"; expected a whole number from 1.\n',
    );
  });

  it("takes it quietly when the reader of its output has seen enough", async () => {
    const child = start("summary", "--json");
    child.stdout.destroy();
    const [stderr, [exitCode]] = await Promise.all([child.stderr.toArray(), once(child, "close")]);
    expect(Buffer.concat(stderr).toString()).toBe("");
    expect(exitCode).toBe(0);
  });
});
