import { defineConfig } from "vitest/config";
import { TallyReporter } from "./tests/tally-reporter.ts";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    // The engine is native code that does not survive being loaded into several contexts of one process.
    pool: "forks",
    setupFiles: ["tests/property-seed.ts"],
    // No test measures time; this only ends one that hangs.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ["default", new TallyReporter()],
  },
});
