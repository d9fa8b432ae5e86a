import { Worker, type WorkerOptions } from "node:worker_threads";

/** Starts a thread with a module of this folder, by its name without the extension. */
export function startModule(name: string, options: WorkerOptions = {}): Worker {
  const fromSources = import.meta.url.endsWith(".ts");
  const module = new URL(`./${name}.${fromSources ? "ts" : "js"}`, import.meta.url);
  return fromSources ? new Worker(throughTsx(module), { ...options, eval: true }) : new Worker(module, options);
}

/** In development, where tsx loads TypeScript. */
function throughTsx(module: URL): string {
  return `import("tsx/esm/api").then(({ register }) => { register(); return import(${JSON.stringify(module.href)}); })`;
}
