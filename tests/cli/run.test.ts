import { describe, expect, it } from "vitest";
import { createProgram } from "../../apps/cli/program.ts";
import packageJson from "../../package.json" with { type: "json" };
import { capture } from "./capture.ts";

describe("exit codes and errors", () => {
  it.each([
    [["summry"], "error: unknown command 'summry' (Did you mean summary?)\n"],
    [["summary", "--varient", "paper"], "error: unknown option '--varient' (Did you mean --variant?)\n"],
    [["doctor", "extra"], "error: too many arguments for 'doctor'. Expected 0 arguments but got 1.\n"],
    [["summary", "--classes"], "error: option '--classes <n>' argument missing\n"],
    [
      ["summary", "--variant", "fancy"],
      'error: option --variant: this value is not allowed; received "fancy"; expected one of paper, tutorial.\n',
    ],
    [
      ["summary", "--classes", "ten"],
      'error: option --classes: this value is not allowed; received "ten"; expected a whole number from 1.\n',
    ],
    [
      ["summary", "--classes", ""],
      'error: option --classes: this value is not allowed; received ""; expected a whole number from 1.\n',
    ],
    [
      ["summary", "--fc-units", "4096,many"],
      'error: option --fc-units: this value is not allowed; received "4096,many"; expected a list, each a whole number from 1 to 65536.\n',
    ],
    [
      ["summary", "--input-shape", "299"],
      'error: option --input-shape: this value is not allowed; received "299"; expected height, width (both up to 8192) and channels as whole numbers, e.g. 299x299x3.\n',
    ],
    [
      ["summary", "--input-shape", "70x71x3"],
      "error: option --input-shape: this value is not allowed; received [70, 71, 3]; expected height and width of at least 71×71.\n",
    ],
    [
      ["cost", "--architecture", "xception41", "--input-shape", "32x31x3"],
      "error: option --input-shape: this value is not allowed; received [32, 31, 3]; expected height and width of at least 32×32.\n",
    ],
    [
      ["summary", "--classes", "0"],
      'error: option --classes: this value is not allowed; received "0"; expected a whole number from 1.\n',
    ],
    [
      ["summary", "--pooling", "max"],
      'error: option --pooling: this applies only without the top (includeTop: false, or --no-top); received "max".\n',
    ],
    [
      ["cost", "--no-top", "--dropout", "0.5"],
      "error: option --dropout: this applies only with the top, which is left out; received 0.5.\n",
    ],
    [
      ["plot", "-o", "a.svg", "--no-top", "--fc-units", "8,8"],
      "error: option --fc-units: this applies only with the top, which is left out; received [8, 8].\n",
    ],
  ])("%j is wrong usage: one line, exit 2", async (argv, stderr) => {
    expect(await capture(argv)).toEqual({ exitCode: 2, stdout: "", stderr });
  });

  it("shows the help on stderr and exits 2 without a command", async () => {
    const { exitCode, stdout, stderr } = await capture([]);
    expect(exitCode).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^Usage: xception \[options\] \[command\]/);
  });

  it("shows the stack of an error with --debug only", async () => {
    const { stderr } = await capture(["summary", "--classes", "0", "--debug"]);
    expect(stderr).toMatch(/^error: option --classes[^\n]*\nUsageError: [^\n]*\n {4}at /);
  });

  it("prints the version of package.json", async () => {
    expect(await capture(["--version"])).toEqual({ exitCode: 0, stdout: `${packageJson.version}\n`, stderr: "" });
  });
});

describe("every command", async () => {
  const io = {
    stdin: async () => new Uint8Array(),
    stdout: () => {},
    stderr: () => {},
    isTTY: false,
    signal: new AbortController().signal,
  };
  const { commands } = await createProgram([], io);

  const names = commands.map((command) => command.name());

  it("has a summary of less than 70 characters", () => {
    const long = commands.filter((command) => !command.summary() || command.summary().length >= 70);
    expect(long.map((command) => command.name())).toEqual([]);
  });

  it.each(names)("%s has --json and two examples in its help", async (name) => {
    const { exitCode, stdout, stderr } = await capture([name, "--help"]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout).toContain("--json");
    expect(stdout).toMatch(new RegExp(`Examples:\\n  \\$ xception ${name}\\b.*\\n  \\$ xception ${name}\\b`));
  });
});
