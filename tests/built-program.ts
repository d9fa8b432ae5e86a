import { join } from "node:path";
import { build } from "../scripts/build.mjs";
import { root } from "../scripts/project-root.mjs";

/** The built command line, brought up to date. As a process of its own it starts three times as fast as its sources do. */
export function builtProgram(): string {
  build(root);
  return join(root, "dist/apps/cli/main.js");
}
