import { expect, it } from "vitest";
import { startProgress } from "../../apps/cli/progress.ts";

function io(isTTY: boolean) {
  const written: string[] = [];
  const whole = {
    stdin: async () => new Uint8Array(),
    stdout: () => expect.fail("progress belongs on stderr"),
    stderr: (text: string) => void written.push(text),
    isTTY,
    signal: new AbortController().signal,
  };
  return { whole, written };
}

it("writes a plain line for each tenth into a file or pipe", () => {
  const { whole, written } = io(false);
  const progress = startProgress(whole, { label: "epoch 1", total: 40 });
  for (let done = 1; done <= 40; done++) progress.update(done, done === 8 ? "loss 0.5" : undefined);
  progress.stop();
  expect(written).toEqual(
    [4, 8, 12, 16, 20, 24, 28, 32, 36, 40].map((done) =>
      done === 8 ? "epoch 1: 8/40, loss 0.5\n" : `epoch 1: ${done}/40\n`,
    ),
  );
});

it("skips tenths that a step leaps over", () => {
  const { whole, written } = io(false);
  const progress = startProgress(whole, { label: "evaluating", total: 7 });
  progress.update(4);
  progress.update(7);
  expect(written).toEqual(["evaluating: 4/7\n", "evaluating: 7/7\n"]);
});

it("draws a bar on a terminal and leaves the cursor as it was", () => {
  const { whole, written } = io(true);
  const progress = startProgress(whole, { label: "epoch 1", total: 4 });
  progress.update(1, "loss 0.5");
  progress.stop();
  const text = written.join("");
  expect(text).toContain(`epoch 1 ${"░".repeat(30)} 0/4`);
  expect(text).toMatch(/epoch 1 █{8}░{22} 1\/4, .* left, loss 0\.5/);
  const hidden = text.indexOf("\u001b[?25l");
  expect(hidden).toBeGreaterThanOrEqual(0);
  expect(text.indexOf("\u001b[?25h")).toBeGreaterThan(hidden);
});
