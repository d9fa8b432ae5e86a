import { expect, it } from "vitest";
import { explanationScoreDocument } from "../../src/report/explanation.ts";
import { toText } from "../../src/report/text.ts";

it("writes small scores with one sign, and one image as one", () => {
  const spread = (mean: number) => ({ mean, deviation: 0 });
  const score = {
    ...{ method: "grad-cam", deletion: spread(0.5), insertion: spread(0.25), difference: spread(-0.25) },
    ...{ road: spread(-0.0001), randomization: [spread(-0.001), spread(-0.06)], isSane: true },
    ...{ pointing: undefined, incompleteness: undefined },
  } as const;
  const text = toText(explanationScoreDocument({ images: 1, scores: [score] }, []), { width: 150 });
  expect(text).toContain("Mean and standard deviation over 1 image\n");
  expect(text).toMatch(
    /│ grad-cam │ 0\.500 ± 0\.000 │ 0\.250 ± 0\.000 │ −0\.250 ± 0\.000 │ 0\.000 ± 0\.000 │ +0\.00 │ +−0\.06 │ passed/,
  );
});
