import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../../scripts/project-root.mjs";

const folder = join(root, "docs/api");
const typedoc = join(folder, "node_modules/typedoc/bin/typedoc");

test("every public function, class and type has a doc comment, whose links lead somewhere", (context) => {
  if (!existsSync(typedoc)) return context.skip("TypeDoc is not installed; run: npm --prefix docs/api ci");
  const { status, stdout, stderr } = spawnSync(process.execPath, [typedoc, "--emit", "none"], {
    cwd: folder,
    encoding: "utf8",
  });
  // Warnings about missing comments and dead links count as errors.
  expect(status, `${stdout}${stderr}`).toBe(0);
}, 600_000);
