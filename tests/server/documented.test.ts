import { execFile, spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, expect, it } from "vitest";
import { readProjectFile } from "../repository/project-files.ts";
import { serving } from "./serving.ts";

const own = serving();
let url: string;
beforeAll(async () => {
  url = await own.server.listen({ host: "127.0.0.1", port: 0 });
  await writeFile(join(own.folder, "cat.jpg"), own.png);
});

const commands = [...readProjectFile("docs/serve.md").matchAll(/^curl .*$/gm)].map(([command]) => command);

it.for(commands)("%s", async (command, context) => {
  if (spawnSync("curl", ["--version"]).error) return context.skip("needs curl");
  const here = command.replace("http://127.0.0.1:8000", url).replace("models/model", "models/small");
  const { stdout, stderr } = await promisify(execFile)("sh", ["-c", here.replace("curl ", "curl -sS --fail ")], {
    cwd: own.folder,
  });
  expect(stderr).toBe("");
  if (!command.includes(" -o ")) expect(() => JSON.parse(stdout)).not.toThrow();
});

it("there are some", () => expect(commands.length).toBeGreaterThan(4));
