import type { SerializedError } from "vitest";
import type { Reporter, TestModule } from "vitest/node";

/**
 * Closes a run with one line, `12 passed, 0 failed, 3 skipped`, after the reasons of the skipped tests, or their full
 * names, which say what they need. A file that does not load and an error outside any test count as failures, since
 * something was not tested.
 */
export class TallyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const count = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
    const reasons = new Map<string, number>();
    for (const module of modules) {
      count.failed += module.errors().length;
      for (const suite of module.children.allSuites()) count.failed += suite.errors().length;
      for (const test of module.children.allTests()) {
        const result = test.result();
        count[result.state === "pending" ? "failed" : result.state] += 1;
        if (result.state !== "skipped") continue;
        const reason = result.note ?? `${module.relativeModuleId} > ${test.fullName}`;
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      }
    }
    for (const [reason, tests] of reasons) console.log(`${tests} skipped: ${reason}`);
    console.log(tally(count));
  }
}

/** Skipped tests are named only when there are some. */
export function tally({ passed, failed, skipped }: Record<"passed" | "failed" | "skipped", number>): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`;
}
