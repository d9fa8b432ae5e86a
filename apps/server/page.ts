import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { Route } from "./openapi.ts";

/** The project's page, if it was built: `dist/web`, from sources as from `dist/apps/server`. */
const builtPage = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../../dist/web/" : "../../web/", import.meta.url),
);

const types: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  json: "application/json",
  svg: "image/svg+xml",
  png: "image/png",
  jpg: "image/jpeg",
  ico: "image/x-icon",
  wasm: "application/wasm",
  webmanifest: "application/manifest+json",
};

/**
 * The pages: at `/` the project's own if it was built, and at `/try` a small one that classifies a dropped image on this
 * server, which without the other is at `/`, too. Which files there are is known from the start: no path of a request
 * reaches the file system.
 */
export function pageRoutes(): readonly Route[] {
  const files = existsSync(join(builtPage, "index.html")) ? filesIn(builtPage) : [];
  const built = files.map((path): Route => {
    const name = relative(builtPage, path).split(sep).join("/");
    return page(
      name === "index.html" ? "/" : `/${name}`,
      types[name.split(".").at(-1)!] ?? "application/octet-stream",
      () => readFileSync(path),
    );
  });
  const html = () => Buffer.from(smallPage);
  const script = page("/try.js", types.js!, () => Buffer.from(smallScript));
  return [...(built.length > 0 ? built : [page("/", types.html!, html)]), page("/try", types.html!, html), script];
}

function page(path: string, type: string, read: () => Buffer): Route {
  return {
    method: "GET",
    path,
    summary: "A part of the page",
    answer: [{ type: type.split(";")[0]! }],
    isOpen: true,
    isPage: true,
    handle: () => ({ headers: { "content-type": type }, body: read() }),
  };
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesIn(path) : entry.isFile() ? [path] : [];
  });
}

const smallPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>xception-ts: classify an image</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
  label { display: block; border: 2px dashed #767676; border-radius: .5rem; padding: 2rem; text-align: center; }
  label:focus-within { outline: 3px solid #2563eb; }
  img { max-width: 100%; max-height: 20rem; display: block; margin: 1rem auto; }
  td:last-child { text-align: right; padding-left: 2rem; }
</style>
<main>
  <h1>Classify an image</h1>
  <label>Drop an image here, or choose one <input type="file" accept="image/*"></label>
  <img alt="" hidden>
  <p role="status"></p>
  <table hidden><caption>Top classes</caption><tbody></tbody></table>
  <p><a href="/openapi.json">All endpoints of this server (OpenAPI)</a></p>
</main>
<script type="module" src="/try.js"></script>
</html>
`;

const smallScript = `const [input, image, status, table] = ["input", "img", "[role=status]", "table"].map((each) => document.querySelector(each));
let key = "";

async function show(file) {
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(file);
  image.hidden = false;
  table.hidden = true;
  status.textContent = "Classifying …";
  const headers = { "content-type": "application/octet-stream", ...(key && { authorization: "Bearer " + key }) };
  try {
    const response = await fetch("/classify?top=5", { method: "POST", body: file, headers });
    const answer = await response.json();
    if (response.status === 401) {
      key = prompt("API key of this server") ?? "";
      return key ? show(file) : void (status.textContent = answer.error);
    }
    if (!response.ok) throw new Error(answer.error);
    status.textContent = answer.model_name + ", version " + answer.model_version;
    table.tBodies[0].replaceChildren(...answer.predictions.map(({ label, probability }) => {
      const row = document.createElement("tr");
      for (const text of [label, (100 * probability).toFixed(1) + " %"]) row.insertCell().textContent = text;
      return row;
    }));
    table.hidden = false;
  } catch (error) {
    status.textContent = error.message;
  }
}

input.addEventListener("change", () => input.files[0] && show(input.files[0]));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  const file = event.dataTransfer.files[0];
  if (file) show(file);
});
`;
