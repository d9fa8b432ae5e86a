import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { TallyReporter } from "./tests/tally-reporter.ts";

/** Tests of folders that keep no state may share a process: a quarter less CPU time. */
const shared = "base|compiler|formats|graph|learning|models|oracles|report|tensor";

export default defineConfig({
  test: {
    // The engine is native code that does not survive being loaded into several contexts of one process.
    pool: "forks",
    // By default one worker on two cores, which mostly wait for each other.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    setupFiles: ["tests/property-seed.ts"],
    // No test measures time; this only ends one that hangs.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ["default", new TallyReporter()],
    projects: [
      { extends: true, test: { name: "shared", include: [`tests/@(${shared})/**/*.test.ts`], isolate: false } },
      { extends: true, test: { name: "apart", include: [`tests/!(${shared})/**/*.test.ts`] } },
    ],
  },
});
