import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import { readWeightList, withSampleWeights } from "../../src/data/sample-weights.ts";

const where = 'file "weights.csv"';
const read = (text: string) => Object.fromEntries(readWeightList(text, where));

describe("a list of weights", () => {
  it("has a name and a number in each line, and perhaps a heading", () => {
    expect(read("cat,2\ndog,0.5\n")).toEqual({ cat: 2, dog: 0.5 });
    expect(read("\uFEFFclass,weight\r\ncat, 2\r\n\r\nbig, red dog,1e-1\r\n")).toEqual({ cat: 2, "big, red dog": 0.1 });
    expect(read('"a ""good"", cat",0')).toEqual({ 'a "good", cat': 0 });
  });

  it("is refused with the line that is wrong", () => {
    expect(() => read("cat,2\ndog")).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: file "weights.csv", line 2: this is not a name and its weight; received "dog"; expected a name, a comma and a number from 0.]`,
    );
    expect(() => read("cat,2\ncat,3")).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: file "weights.csv", line 2: an earlier line has this name; received "cat,3"; expected each name once.]`,
    );
    expect(() => read("class,weight\n")).toThrowErrorMatchingInlineSnapshot(
      `[FormatError: file "weights.csv": it has no weights; expected lines of name,weight.]`,
    );
    for (const wrong of ["cat,-1", "cat,", ",1", "cat,many", "cat,Infinity"])
      expect(() => read(wrong)).toThrow("line 1");
  });

  it("is refused with nothing but a FormatError, whatever is in it", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", ",", '"', "\n", "1", "\r", "ä", " ") }), (text) => {
        try {
          for (const weight of readWeightList(text, where).values()) expect(weight).toBeGreaterThanOrEqual(0);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }),
    );
  });
});

describe("weights of samples", () => {
  const samples = ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"].map((name, index) => ({
    image: "",
    label: index >> 1,
    name,
  }));
  const dataset = { classes: ["cat", "dog"], samples };

  it("go by name, 1 where there is none", () => {
    const weighted = withSampleWeights(dataset, new Map([["cat/2.jpg", 3]]), where);
    expect(weighted.samples.map(({ weight }) => weight)).toEqual([1, 3, 1]);
  });

  it("are refused where a name is none of a sample", () => {
    const weights = new Map([["cat/2.png", 3]]);
    expect(() => withSampleWeights(dataset, weights, where)).toThrowErrorMatchingInlineSnapshot(
      `[DataError: file "weights.csv": there are weights of images that the data set lacks (1); received ["cat/2.png"]; expected names as in the data set, e.g. cat/1.jpg.]`,
    );
  });
});
