import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const sources = ["src", "apps", "tsconfig.json", "tsconfig.build.json"];
const commandLine = "apps/cli/main.js";

/**
 * Compiles src/ and apps/ to dist/ and the page to dist/web/, unless dist/ was made of exactly these sources. The new folder takes the old one's
 * place only when it is complete, so a running program or a second build never meets a half-written one.
 * @param {string} root folder of the project.
 * @throws {Error} the compiler found errors.
 */
export function build(root) {
  const dist = join(root, "dist");
  const stamp = fingerprint(root);
  const isCurrent = () => existsSync(join(dist, ".sources")) && readFileSync(join(dist, ".sources"), "utf8") === stamp;
  if (isCurrent()) return;
  console.error("setup: building dist/");

  const fresh = join(root, `dist.${process.pid}`);
  const old = `${fresh}.old`;
  try {
    compile(root, fresh);
    buildPage(root, join(fresh, "web"));
    // npx starts this file by itself.
    if (existsSync(join(fresh, commandLine))) chmodSync(join(fresh, commandLine), 0o755);
    writeFileSync(join(fresh, ".sources"), stamp);
    // Another process may have been faster; programs may already run in its folder.
    if (isCurrent()) return;
    moveIfThere(dist, old);
    try {
      renameSync(fresh, dist);
    } catch (error) {
      // Since the line above another process may have put its own there.
      if (!isCurrent()) throw error;
    }
  } finally {
    for (const folder of [fresh, old]) rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Moves a folder instead of deleting it in its place, where another process may be putting a new one.
 * @param {string} from
 * @param {string} to
 */
function moveIfThere(from, to) {
  try {
    renameSync(from, to);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "ENOENT") throw error;
  }
}

/**
 * The built command line, brought up to date. As a process of its own it starts three times as fast as its sources do.
 * @param {string} root folder of the project.
 */
export function builtProgram(root) {
  build(root);
  return join(root, "dist", commandLine);
}

/**
 * @param {string} root
 * @param {string} outDir
 */
function compile(root, outDir) {
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  const { status } = spawnSync(process.execPath, [compiler, "-p", "tsconfig.build.json", "--outDir", outDir], {
    cwd: root,
    stdio: ["ignore", 2, "inherit"],
  });
  if (status !== 0) throw new Error("the sources do not compile, the compiler's messages stand above.");
}

/**
 * @param {string} root
 * @param {string} outDir
 */
function buildPage(root, outDir) {
  const page = join(root, "apps", "web");
  if (!existsSync(page)) return;
  const vite = join(root, "node_modules", "vite", "bin", "vite.js");
  const { status } = spawnSync(process.execPath, [vite, "build", page, "--outDir", outDir, "--logLevel", "error"], {
    cwd: root,
    // A test runner's is "test", which would leave the service worker out.
    env: { ...process.env, NODE_ENV: "production" },
    stdio: ["ignore", 2, "inherit"],
  });
  if (status !== 0) throw new Error("the page does not build, the messages of Vite stand above.");
}

/**
 * Changes when a source is added, removed or written to.
 * @param {string} root
 */
function fingerprint(root) {
  const hash = createHash("sha256");
  const visit = (/** @type {string} */ path) => {
    const found = statSync(join(root, path));
    if (found.isDirectory()) {
      for (const name of readdirSync(join(root, path)).sort()) visit(`${path}/${name}`);
    } else {
      hash.update(`${path} ${found.size} ${found.mtimeMs}\n`);
    }
  };
  sources.filter((path) => existsSync(join(root, path))).forEach(visit);
  return hash.digest("hex");
}
