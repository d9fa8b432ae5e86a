import fc from "fast-check";
// Vitest calls this file for each test file, but loads the modules that it imports once for each worker.
import "./equal-bytes.ts";

/**
 * The same cases in every run, so that a test that fails fails again. Other cases: `PROPERTY_SEED=2 npx vitest run …`, with as
 * many seeds as one likes; a counterexample is worth a test of its own.
 */
fc.configureGlobal({ seed: Number(process.env.PROPERTY_SEED ?? 1) });
