/**
 * What `npm start` and `npm test` do first: check Node, install what is missing, build what is out of date.
 * Plain JavaScript without dependencies, since nothing is installed yet. `setup.mjs build` installs nothing.
 */
import { build } from "./build.mjs";
import { assertPackages, checkNodeVersion, installPackages } from "./install.mjs";
import { root } from "./project-root.mjs";

try {
  checkNodeVersion(process.versions.node);
  if (process.argv[2] === "build") assertPackages(root);
  else installPackages(root);
  build(root);
} catch (error) {
  console.error(`setup: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
