import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";

const folder = join(root, "docs/api");
const typedoc = join(folder, "node_modules/typedoc/bin/typedoc");

test("every public function, class and type has a doc comment, and every link in them leads somewhere", (context) => {
  if (!existsSync(typedoc)) return context.skip("TypeDoc is not installed; run: npm --prefix docs/api ci");
  const { status, stdout, stderr } = spawnSync(process.execPath, [typedoc, "--emit", "none"], {
    cwd: folder,
    encoding: "utf8",
  });
  expect(`${stdout}${stderr}`.match(/\[(?:warning|error)\].*/g) ?? []).toEqual([]);
  expect(status).toBe(0);
});
