import { tmpdir } from "node:os";
import { parse } from "node:path";
import { describe, expect, it } from "vitest";
import { artists, readEmoji } from "../../apps/cli/demo/data.ts";
import { countPerClass } from "../../src/data/dataset.ts";
import { decodeImage } from "../../src/runtime/node/images.ts";

describe("readEmoji", () => {
  it.each(["Google", "Twitter"] as const)("finds the five categories of %s", async (artist) => {
    const dataset = await readEmoji(artist);
    expect(dataset.classes).toEqual(["flags", "smileys", "people", "animals & plants", "food"]);
    expect(countPerClass(dataset)).toEqual([270, 169, 386, 159, 131]);
    expect(new Set(dataset.samples.map(({ image }) => image)).size).toBe(1115);
  });

  it("draws the same emoji under the same name in two styles", async () => {
    const pixels = async (artist: "Google" | "Twitter") => {
      const { samples } = await readEmoji(artist);
      const grapes = samples.find(({ name }) => name === "grapes")!;
      expect(grapes.label).toBe(4);
      return (await decodeImage(grapes.image as string, { width: 64, height: 64 })).data;
    };
    const [google, twitter] = [await pixels(artists.training), await pixels(artists.test)];
    for (const data of [google, twitter]) expect([...data.subarray(0, 3)]).toEqual([255, 255, 255]);
    expect(google).not.toEqual(twitter);
  });

  it("says what to do when the images are not installed", async () => {
    await expect(readEmoji("Google", [parse(tmpdir()).root])).rejects.toThrowErrorMatchingInlineSnapshot(
      `[DataError: images of the demo: the package emoji-datasource-google is not installed. Install the images: npm install emoji-datasource-google emoji-datasource-twitter]`,
    );
  });
});
