import { describe, expect, it } from "vitest";
import {
  type Augmentation,
  augmentations,
  checkAugmentation,
  checkMixing,
  noAugmentation,
} from "../../src/data/augmentation.ts";
import { erasingDefaults } from "../../src/data/geometry.ts";

const erasing = { ...erasingDefaults, probability: 1 };

describe("checks", () => {
  it("accept all that have a name", () => {
    for (const augmentation of Object.values(augmentations)) {
      expect(() => checkAugmentation(augmentation)).not.toThrow();
    }
    expect(() => checkMixing({}, 1)).not.toThrow();
    expect(() => checkMixing({ mixup: 0.2, cutMix: 1 }, 2)).not.toThrow();
  });

  it("name what is out of range", () => {
    const refusal = (changes: Partial<Augmentation>) => {
      try {
        checkAugmentation({ ...noAugmentation, ...changes });
      } catch (error) {
        return (error as Error).message;
      }
      return expect.fail("it was accepted");
    };
    expect(refusal({ scale: 0.6 })).toMatchInlineSnapshot(
      `"augmentation scale: this value is not allowed; received 0.6; expected a number from 0, up to 0.5."`,
    );
    expect(refusal({ shift: -1 })).toContain("augmentation shift");
    expect(refusal({ crop: Number.NaN })).toContain("augmentation crop");
    expect(refusal({ hue: 0.6 })).toMatchInlineSnapshot(
      `"augmentation hue: this value is not allowed; received 0.6; expected a number from 0, up to 0.5."`,
    );
    expect(refusal({ resizedCrop: { area: [0, 1], ratio: [1, 1] } })).toMatchInlineSnapshot(
      `"augmentation resizedCrop area: this value is not allowed; received [0, 1]; expected [lowest, highest], both above 0 and up to 1."`,
    );
    expect(refusal({ resizedCrop: { area: [0.5, 1], ratio: [2, 1] } })).toMatchInlineSnapshot(
      `"augmentation resizedCrop ratio: this value is not allowed; received [2, 1]; expected [lowest, highest], both above 0."`,
    );
    expect(refusal({ randAugment: { operations: 1.5, magnitude: 9 } })).toMatchInlineSnapshot(
      `"augmentation randAugment operations: this value is not allowed; received 1.5; expected a whole number from 0 to 14."`,
    );
    expect(refusal({ randAugment: { operations: 15, magnitude: 9 } })).toMatchInlineSnapshot(
      `"augmentation randAugment operations: this value is not allowed; received 15; expected a whole number from 0 to 14."`,
    );
    expect(refusal({ randAugment: { operations: 2, magnitude: 11 } })).toMatchInlineSnapshot(
      `"augmentation randAugment magnitude: this value is not allowed; received 11; expected a number from 0, up to 10."`,
    );
    expect(refusal({ erasing: { ...erasing, probability: 2 } })).toMatchInlineSnapshot(
      `"augmentation erasing probability: this value is not allowed; received 2; expected a number from 0, up to 1."`,
    );
    expect(refusal({ erasing: { ...erasing, area: [0.5, 1.5] } })).toContain("erasing area");
    expect(refusal({ erasing: { ...erasing, ratio: [-1, 1] } })).toContain("erasing ratio");
  });

  it("name what cannot be mixed", () => {
    expect(() => checkMixing({ mixup: -1 }, 8)).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: augmentation mixup: this value is not allowed; received -1; expected a number from 0, up to 100.]`,
    );
    expect(() => checkMixing({ cutMix: 1, cutMixShare: 2 }, 8)).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: augmentation cutMixShare: this value is not allowed; received 2; expected a number from 0, up to 1.]`,
    );
    expect(() => checkMixing({ cutMix: 1 }, 1)).toThrowErrorMatchingInlineSnapshot(
      `[UsageError: augmentation mixup and CutMix: an image is mixed with another one of its batch; received "batchSize 1"; expected a batchSize of at least 2.]`,
    );
    expect(() => checkMixing({ cutMix: Number.NaN }, 8)).toThrow("augmentation cutMix");
    expect(() => checkMixing({ probability: -0.1 }, 8)).toThrow("mixing probability");
  });
});
