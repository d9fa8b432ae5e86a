import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { TallyReporter } from "./tests/tally-reporter.ts";

/** Folders whose tests share the worker's process and modules: a third less CPU time. The others change or inspect either. */
const shared = "base|cli|compiler|data|formats|graph|learning|model|models|oracles|report|server|tasks|tensor|train";

export default defineConfig({
  test: {
    // The engine is native code that does not survive being loaded into several contexts of one process.
    pool: "forks",
    // By default one worker on two cores, which mostly wait for each other.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    globalSetup: ["tests/temporary-folder.ts"],
    setupFiles: ["tests/setup.ts"],
    // No test measures time; this only ends one that hangs.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // The default, one second, is too short for a page on a busy machine.
    expect: { poll: { timeout: 60_000 } },
    reporters: ["default", new TallyReporter()],
    projects: [
      { extends: true, test: { name: "shared", include: [`tests/@(${shared})/**/*.test.ts`], isolate: false } },
      { extends: true, test: { name: "apart", include: [`tests/!(${shared})/**/*.test.ts`] } },
    ],
  },
});
