import { dirname, join } from "node:path/posix";

/** Source text by path from the project's root, e.g. `src/graph/ops.ts`. */
export type Sources = ReadonlyMap<string, string>;

/** A file may import from its own unit or from a unit of lower rank (docs/adr/0001). The first match counts. */
const units: readonly (readonly [unit: string, rank: number, files: RegExp])[] = [
  ["entry", 8, /^src\/(bind|index|node|verbs|web|web-worker)\.ts$/],
  ["base", 0, /^src\/(base|tensor)\//],
  ["graph", 1, /^src\/graph\//],
  ...["models", "compiler", "learning", "data", "report", "runtime"].map(
    (folder) => [folder, 2, new RegExp(`^src/${folder}/`)] as const,
  ),
  // Formats describe networks of `models` and read graphs of `compiler`.
  ["formats", 3, /^src\/formats\//],
  ...Object.entries({ "train/step": 4, model: 4, "train/ranks": 5, train: 7 }).map(
    ([folder, rank]) => [folder, rank, new RegExp(`^src/${folder}/`)] as const,
  ),
  ...["card", "data", "evaluate", "explain", "features", "quantize", "verify"].map(
    (folder) => [`tasks/${folder}`, 6, new RegExp(`^src/tasks/${folder}/`)] as const,
  ),
  ["tasks", 6, /^src\/tasks\/[^/]+\.ts$/],
  // Types of the server's documents, and a client that uses nothing but `fetch`.
  ["client", 2, /^src\/client\//],
  ...Object.entries({ server: 9, web: 9, cli: 10 }).map(
    ([app, rank]) => [app, rank, new RegExp(`^apps/${app}/`)] as const,
  ),
];

/** What only the named files may use: the core gets the outside world as a value. */
const fences: readonly (readonly [what: string, target: RegExp, allowed: RegExp])[] = [
  [
    "Node",
    /^(node:|(sharp|onnxruntime-node)$|src\/runtime\/node\/|src\/node\.ts$|global (process|Buffer)$)/,
    /^(src\/runtime\/node\/.*|src\/node\.ts|apps\/(cli|server)\/.*)$/,
  ],
  [
    "the browser",
    /^(src\/runtime\/web\/(?!session\.ts$)|src\/web(-worker)?\.ts$)/,
    /^(src\/runtime\/web\/.*|src\/web(-worker)?\.ts|apps\/web\/.*)$/,
  ],
  // Loaded by one module, which switches its telemetry off before.
  ["the native engine", /^onnxruntime-node$/, /^src\/runtime\/node\/engine\.ts$/],
  // Its session runs in browsers and in Node.
  ["the engine in WebAssembly", /^onnxruntime-web/, /^src\/runtime\/web\//],
];

/** One line for each broken rule: the file, what it imports and why that is wrong. */
export function importProblems(sources: Sources): string[] {
  const problems: string[] = [];
  for (const [file, text] of sources) {
    const own = unitOf(file);
    if (own === undefined) problems.push(`${file}: belongs to no unit; give it one in import-rules.ts and ADR 0001`);
    for (const target of [...imports(file, text), ...globals(text)]) {
      for (const [what, fenced, allowed] of fences) {
        if (fenced.test(target) && !allowed.test(file)) problems.push(`${file} imports ${target}: not allowed ${what}`);
      }
      const other = unitOf(target);
      if (own === undefined || other === undefined || own.unit === other.unit || own.rank > other.rank) continue;
      const direction = own.rank === other.rank ? "sideways" : "up";
      problems.push(
        `${file} imports ${target}: ${direction}, ${own.unit} (${own.rank}) → ${other.unit} (${other.rank})`,
      );
    }
  }
  return [...problems, ...cycles(sources)];
}

function unitOf(path: string): { unit: string; rank: number } | undefined {
  const found = units.find(([, , files]) => files.test(path));
  return found && { unit: found[0], rank: found[1] };
}

/** Type-only, side-effect, dynamic imports and re-exports; relative ones as paths from the root. */
function imports(file: string, text: string): string[] {
  const found = withoutComments(text).matchAll(/\b(?:from|import)\s*\(?\s*["']([^"'\n]+)["']/g);
  return [...found].map(([, target]) => (target!.startsWith(".") ? join(dirname(file), target!) : target!));
}

/** Node's; the compiler knows no others here, since tsconfig.json leaves the DOM out. */
function globals(text: string): string[] {
  const code = withoutComments(text).replaceAll(/"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g, '""');
  const found = code.matchAll(/(?<![.\w])(process|Buffer)\.\w/g);
  return [...new Set([...found].map(([, name]) => `global ${name}`))];
}

/** Strings are matched too, and kept, so that `"**"` or a URL in one does not begin a comment. */
function withoutComments(text: string): string {
  const stringOrComment = /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
  return text.replaceAll(stringOrComment, (_, string: string | undefined) => string ?? " ");
}

function cycles(sources: Sources): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) found.push(`import cycle: ${[...path.slice(path.indexOf(file)), file].join(" → ")}`);
    if (done.has(file)) return;
    done.add(file);
    for (const target of imports(file, sources.get(file)!)) if (sources.has(target)) visit(target, [...path, file]);
  };
  for (const file of sources.keys()) visit(file, []);
  return found;
}
