import { defineConfig, type Plugin } from "vite";

/** Nothing is evaluated from text, nothing is loaded from another host but models the user asks for. */
const policy = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "media-src 'self' blob:",
  "worker-src 'self' blob:",
  "connect-src 'self' blob: https: http://localhost:*",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** Writes the policy into the built page, so that it holds on hosts without control over headers. */
const contentSecurityPolicy: Plugin = {
  name: "content-security-policy",
  apply: "build",
  transformIndexHtml: () => [
    { tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content: policy }, injectTo: "head-prepend" },
  ],
};

/**
 * Writes the script that keeps the page for use without a connection: its own files at once, the engine that is only needed
 * for some models once it was used.
 */
const offline: Plugin = {
  name: "offline",
  apply: "build",
  generateBundle(_, bundle) {
    const files = Object.keys(bundle).filter((name) => !/ort-|hdf5/.test(name));
    const template = this.fs.readFile(`${import.meta.dirname}/offline.js`, { encoding: "utf8" });
    return template.then((source) => {
      const version = hashOf(files.join());
      const list = JSON.stringify(["./", "./icon.svg", "./emoji.onnx", ...files.map((name) => `./${name}`)]);
      const filled = source.replace('"FILES"', list).replace("VERSION", version);
      this.emitFile({ type: "asset", fileName: "offline.js", source: filled });
    });
  },
};

/** A short name for a list of hashed names. */
function hashOf(text: string): string {
  let hash = 5381;
  for (const character of text) hash = (hash * 33 + character.charCodeAt(0)) >>> 0;
  return hash.toString(36);
}

/** With these headers the engine may use several threads. */
const isolation = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

export default defineConfig({
  root: import.meta.dirname,
  // Relative, so that the folder works under any path.
  base: "./",
  plugins: [contentSecurityPolicy, offline],
  build: {
    outDir: "../../dist/web",
    emptyOutDir: true,
    target: "es2022",
    // Small images stay files: one place less that a policy must allow.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1000,
  },
  worker: { format: "es" },
  preview: { headers: isolation },
  server: { headers: isolation },
});
