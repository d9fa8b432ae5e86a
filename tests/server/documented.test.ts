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

const page = readProjectFile("docs/serve.md");
const commands = [...page.matchAll(/^curl .*$/gm)].map(([command]) => command);

it.for(commands)("%s", async (command, context) => {
  if (spawnSync("curl", ["--version"]).error) return context.skip("needs curl");
  const here = command.replace("http://127.0.0.1:8000", url).replace("models/model", "models/small");
  const { stdout, stderr } = await promisify(execFile)("sh", ["-c", here.replace("curl ", "curl -sS --fail ")], {
    cwd: own.folder,
  });
  expect(stderr).toBe("");
  if (!command.includes(" -o ")) expect(() => JSON.parse(stdout)).not.toThrow();
});

it("tritonclient", async (context) => {
  const python = (code: string) => promisify(execFile)("python3", ["-c", code], { cwd: own.folder });
  if (spawnSync("python3", ["-c", "import tritonclient.http"]).status !== 0) return context.skip("needs tritonclient");
  const [, code] = /^```python\n(.*?)^```$/ms.exec(page)!;
  const { stdout } = await python(code!.replace("127.0.0.1:8000", new URL(url).host).replace('"model"', '"small"'));
  const best = await own.classifier.classify(own.png, { top: 3 });
  const found = [...stdout.matchAll(/b'([\d.e-]+):(\d+):(\w+)'/g)].map(([, value, index, label]) => {
    return { label, index: Number(index), probability: Number(value) };
  });
  expect(found).toEqual(best);
});

it("there are some", () => expect(commands.length).toBeGreaterThan(4));
