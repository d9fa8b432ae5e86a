import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * @typedef {object} LockedPackage
 * @property {string} [version]
 * @property {boolean} [optional]
 */

/** The same as `engines` in package.json: from these versions on `require` loads ES modules. */
export const supportedNode = "^20.19.0 || >=22.12.0";

/**
 * @param {string} version of the running Node, e.g. `20.19.0`.
 * @throws {Error} it is not supported.
 */
export function checkNodeVersion(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if ((major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22) return;
  throw new Error(
    `Node ${version} is not supported; expected ${supportedNode}. Install it from https://nodejs.org or with a version manager.`,
  );
}

/**
 * Runs `npm ci`, unless node_modules already holds what package-lock.json asks for.
 * @param {string} root folder of the project.
 * @throws {Error} npm failed.
 */
export function installPackages(root) {
  const missing = missingPackages(root);
  if (missing.length === 0) return;
  console.error(`setup: installing packages with npm ci (${missing.length} missing or outdated)`);

  const npmScript = process.env.npm_execpath;
  const startedByNpm = npmScript !== undefined && /npm-cli\.c?js$/.test(npmScript);
  const command = startedByNpm ? process.execPath : "npm";
  const options = ["--ignore-scripts", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"];
  const { status, error } = spawnSync(command, [...(startedByNpm ? [npmScript] : []), "ci", ...options], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
    // On Windows npm is a batch file, which only a shell starts.
    shell: !startedByNpm && process.platform === "win32",
  });
  if (status === 0) return;
  const reason = error === undefined ? `exit code ${status}` : error.message;
  throw new Error(`npm ci failed (${reason}). Check the connection to the npm registry, then run the command again.`);
}

/**
 * @param {string} root folder of the project.
 * @throws {Error} node_modules does not hold what package-lock.json asks for.
 */
export function assertPackages(root) {
  const missing = missingPackages(root);
  if (missing.length === 0) return;
  const count = missing.length === 1 ? "1 package is" : `${missing.length} packages are`;
  throw new Error(
    `${count} missing or outdated. Run \`npm ci\` first; \`npm start\` and \`npm test\` do it themselves.`,
  );
}

/**
 * Paths of the packages that package-lock.json asks for and node_modules does not hold in that version.
 * @param {string} root folder of the project.
 * @returns {string[]}
 */
export function missingPackages(root) {
  const installed = lockedPackages(join(root, "node_modules", ".package-lock.json"));
  return Object.entries(lockedPackages(join(root, "package-lock.json")))
    .filter(([path, wanted]) => {
      if (path === "") return false;
      const found = installed[path];
      // Optional packages hold compiled code for one kind of machine; npm leaves those for others out.
      if (found === undefined) return !wanted.optional;
      return found.version !== wanted.version || !existsSync(join(root, path, "package.json"));
    })
    .map(([path]) => path);
}

/**
 * @param {string} file
 * @returns {Record<string, LockedPackage>}
 */
function lockedPackages(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).packages : {};
}
