import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/base/errors.ts";
import {
  constantRate,
  cosineDecay,
  createSchedule,
  exponentialDecay,
  oneCycle,
  plateauDecay,
  type Schedule,
  type ScheduleName,
  type SchedulePosition,
  scheduleNames,
  stepDecay,
} from "../../src/learning/schedules.ts";

const start: SchedulePosition = { step: 0, totalSteps: 1, epoch: 0, samples: 0, validationLosses: [] };

/** What a schedule says at each step of a training of one epoch. */
function rates(schedule: Schedule, totalSteps: number): number[] {
  return Array.from({ length: totalSteps }, (_, step) => schedule({ ...start, step, totalSteps }));
}

function expectRates(actual: readonly number[], expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  for (const [step, value] of expected.entries()) expect(actual[step], `step ${step}`).toBeCloseTo(value, 12);
}

describe("constant", () => {
  it("stays", () => expect(rates(constantRate, 3)).toEqual([1, 1, 1]));
});

describe("cosine", () => {
  it("falls from the highest rate: ½(1 + cos(π·step/4))", () => {
    expectRates(rates(cosineDecay({ warmup: 0 }), 4), [1, (2 + Math.SQRT2) / 4, 0.5, (2 - Math.SQRT2) / 4]);
  });

  it("rises in a straight line before that, without a step at 0", () => {
    // 2 of 6 steps rise: 1/2, 2/2; then four as above.
    const fall = [1, (2 + Math.SQRT2) / 4, 0.5, (2 - Math.SQRT2) / 4];
    expectRates(rates(cosineDecay({ warmup: 0.34 }), 6), [0.5, 1, ...fall]);
  });

  it("rises over a twentieth by default", () => {
    expect(rates(cosineDecay(), 40).slice(0, 3)).toEqual([0.5, 1, 1]);
    expect(rates(cosineDecay(), 19)[0]).toBe(1);
  });
});

describe("one-cycle", () => {
  it("goes from a 25th to the highest rate and down to a 250,000th", () => {
    // 10 steps: the top is at step 0.3·10 − 1 = 2, the last step is 9. Between 2 and 9, (step − 2)/7 of half a turn.
    const first = 0.04;
    const last = first / 1e4;
    const falls = [1, 2, 3, 4, 5, 6, 7].map((seventh) => {
      const share = (1 + Math.cos((Math.PI * seventh) / 7)) / 2;
      return share + (1 - share) * last;
    });
    expectRates(rates(oneCycle(), 10), [first, 0.52, 1, ...falls]);
    expect(falls.at(-1)).toBe(last);
  });

  it("equals PyTorch's OneCycleLR where the top lies between two steps", () => {
    // torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1, total_steps=5), by its formula: the top at 0.5.
    const fall = (step: number) => {
      const share = (1 + Math.cos((Math.PI * (step - 0.5)) / 3.5)) / 2;
      return share + (1 - share) * 4e-6;
    };
    expectRates(rates(oneCycle(), 5), [0.04, fall(1), fall(2), fall(3), 4e-6]);
  });

  it("takes its options", () => {
    const schedule = oneCycle({ warmup: 0.5, initialDivisor: 2, finalDivisor: 5 });
    // 6 steps: the top at 0.5·6 − 1 = 2; then down in three steps by ½(1 + cos(π/3)) = ¾ and ¼.
    expectRates(rates(schedule, 6), [0.5, 0.75, 1, 0.1 + 0.9 * 0.75, 0.1 + 0.9 * 0.25, 0.1]);
  });

  it.each([1, 2, 3])("starts at the top where %i steps leave no room for a rise", (totalSteps) => {
    expect(rates(oneCycle(), totalSteps)[0]).toBe(1);
  });
});

describe("exponential", () => {
  it("falls to 94 % every second epoch, as in the paper", () => {
    const schedule = exponentialDecay();
    const byEpoch = [0, 1, 2, 3, 4].map((epoch) => schedule({ ...start, step: 7 * epoch, totalSteps: 35, epoch }));
    expectRates(byEpoch, [1, 1, 0.94, 0.94, 0.8836]);
  });

  it("takes its options", () => {
    const schedule = exponentialDecay({ factor: 0.5, everyEpochs: 1 });
    expect([0, 1, 2].map((epoch) => schedule({ ...start, epoch }))).toEqual([1, 0.5, 0.25]);
  });
});

describe("exponential, by samples", () => {
  it("falls to 90 % every three million, as in the paper, whatever the epoch", () => {
    const schedule = exponentialDecay({ factor: 0.9, everySamples: 3e6 });
    const bySamples = [0, 2_999_999, 3e6, 6e6 - 1, 9e6].map((samples) => schedule({ ...start, epoch: 5, samples }));
    expectRates(bySamples, [1, 1, 0.9, 0.9, 0.729]);
  });
});

describe("step", () => {
  it("falls after the epochs named: 2 and 4", () => {
    const schedule = stepDecay({ factor: 0.5, afterEpochs: [4, 2] });
    const byEpoch = [0, 1, 2, 3, 4, 5].map((epoch) => schedule({ ...start, epoch }));
    expect(byEpoch).toEqual([1, 1, 0.5, 0.5, 0.25, 0.25]);
  });

  it("falls to a tenth, and stays where no epoch is named", () => {
    expect(stepDecay({ afterEpochs: [1] })({ ...start, epoch: 1 })).toBe(0.1);
    expect(stepDecay()({ ...start, epoch: 100 })).toBe(1);
  });
});

describe("plateau", () => {
  it("falls after two epochs without a new lowest loss, then waits two more", () => {
    // After each loss: lowest 3; 2; waited 1; waited 2, fall; waited 1; a new lowest; waited 1; waited 2, fall.
    const losses = [3, 2, 2, 2.5, 2.1, 1.9, 2, 1.9];
    const schedule = plateauDecay({ factor: 0.5, patience: 2 });
    const byEpoch = losses.map((_, index) =>
      schedule({ ...start, epoch: index + 1, validationLosses: losses.slice(0, index + 1) }),
    );
    expect(byEpoch).toEqual([1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]);
  });

  it("stays before the first test and without any", () => {
    expect(plateauDecay()({ ...start, epoch: 50 })).toBe(1);
  });

  it("waits five epochs by default and falls to a tenth", () => {
    const schedule = plateauDecay();
    expect(schedule({ ...start, validationLosses: [1, 1, 1, 1, 1] })).toBe(1);
    expect(schedule({ ...start, validationLosses: [1, 1, 1, 1, 1, 1] })).toBe(0.1);
  });
});

describe("every schedule", () => {
  it("takes its options by name", () => {
    const late = { ...start, epoch: 1, samples: 10, validationLosses: [1, 2] };
    expect(createSchedule("exponential", { factor: 0.5, everySamples: 5 })(late)).toBe(0.25);
    expect(createSchedule("step", { factor: 0.5, afterEpochs: [1] })(late)).toBe(0.5);
    expect(createSchedule("plateau", { factor: 0.5, patience: 1 })(late)).toBe(0.5);
  });

  it.each(scheduleNames)("%s lies between 0 and 1 and comes near 1", (name) => {
    const schedule = createSchedule(name);
    fc.assert(
      fc.property(fc.integer({ min: 20, max: 400 }), (totalSteps) => {
        const all = rates(schedule, totalSteps);
        // The top of one-cycle may fall between two steps.
        return all.every((rate) => rate >= 0 && rate <= 1) && Math.max(...all) > 0.98;
      }),
    );
  });

  it.each(scheduleNames)("%s stays in its range when fewer steps are left than were foreseen", (name) => {
    const schedule = createSchedule(name);
    const late = schedule({ ...start, step: 12, totalSteps: 10, epoch: 1 });
    expect(late).toBeGreaterThanOrEqual(0);
    expect(late).toBeLessThanOrEqual(1);
  });
});

describe("refusals", () => {
  it.each([
    [
      () => createSchedule("best" as ScheduleName),
      `schedule option "name": this value is not allowed; received "best"; expected one of ${scheduleNames.join(", ")}.`,
    ],
    [
      () => cosineDecay({ warmup: 1 }),
      'schedule option "warmup": this value is not allowed; received 1; expected a number from 0, below 1.',
    ],
    [
      () => oneCycle({ warmup: -0.1 }),
      'schedule option "warmup": this value is not allowed; received -0.1; expected a number from 0, below 1.',
    ],
    [
      () => oneCycle({ initialDivisor: 0.5 }),
      'schedule option "initialDivisor": this value is not allowed; received 0.5; expected a number from 1.',
    ],
    [
      () => oneCycle({ finalDivisor: Number.NaN }),
      'schedule option "finalDivisor": this value is not allowed; received NaN; expected a number from 1.',
    ],
    [
      () => exponentialDecay({ factor: 0 }),
      'schedule option "factor": this value is not allowed; received 0; expected a number above 0, up to 1.',
    ],
    [
      () => exponentialDecay({ everyEpochs: 1.5 }),
      'schedule option "everyEpochs": this value is not allowed; received 1.5; expected a whole number from 1.',
    ],
    [
      () => exponentialDecay({ everySamples: 0 }),
      'schedule option "everySamples": this value is not allowed; received 0; expected a whole number from 1.',
    ],
    [
      () => stepDecay({ afterEpochs: [2, -1] }),
      'schedule option "afterEpochs": this value is not allowed; received -1; expected a whole number from 1.',
    ],
    [
      () => stepDecay({ factor: 2 }),
      'schedule option "factor": this value is not allowed; received 2; expected a number above 0, up to 1.',
    ],
    [
      () => plateauDecay({ patience: 0 }),
      'schedule option "patience": this value is not allowed; received 0; expected a whole number from 1.',
    ],
  ])("%#", (create, message) => {
    expect(create).toThrow(UsageError);
    expect(create).toThrow(message);
  });
});
