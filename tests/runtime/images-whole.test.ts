import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { decodeImage } from "../../src/runtime/node/images.ts";

/** 101 wide and 67 high: red is twice the column, green three times the row. */
const source = Uint8Array.from({ length: 101 * 67 * 3 }, (_, index) => {
  const [column, row] = [Math.floor(index / 3) % 101, Math.floor(index / 303)];
  return [2 * column, 3 * row, 128][index % 3]!;
});
const raw = { raw: { width: 101, height: 67, channels: 3 } } as const;

it.each(["webp", "png", "jpeg"] as const)("a %s file that has changed gives its new image", async (format) => {
  const folder = mkdtempSync(join(tmpdir(), "changed-image-"));
  const path = join(folder, "image");
  for (const background of ["#ff0000", "#0000ff"]) {
    const image = sharp({ create: { width: 16, height: 16, channels: 3, background } });
    writeFileSync(path, await image.toFormat(format, { progressive: true, quality: 100 }).toBuffer());
    const { data } = await decodeImage(path, {});
    expect(data[0]! > 200).toBe(background === "#ff0000");
  }
  rmSync(folder, { recursive: true });
});

describe("an image without a size to bring it to", () => {
  it("comes as it is, upright", async () => {
    const png = await sharp(source, raw).png().toBuffer();
    expect(await decodeImage(png, {})).toEqual({ width: 101, height: 67, data: source });
    const turned = await sharp(source, raw).png().withMetadata({ orientation: 6 }).toBuffer();
    const { width, height, data } = await decodeImage(turned, {});
    expect([width, height]).toEqual([67, 101]);
    // The right-most column of the upper row is the lower left corner of the file.
    expect([...data.subarray(66 * 3, 67 * 3)]).toEqual([...source.subarray(0, 3)]);
  });

  it("lies over the background", async () => {
    const clear = sharp({ create: { width: 5, height: 4, channels: 4, background: "#00f0" } }).png();
    const { data } = await decodeImage(await clear.toBuffer(), { background: [1, 2, 3] });
    expect([...data]).toEqual(Array.from({ length: 60 }, (_, index) => (index % 3) + 1));
  });

  it.each([
    [{ width: 50, height: 33 }, [50, 33]],
    [{ width: 50, height: 34 }, [101, 67]],
    [{ width: 20, height: 16 }, [25, 16]],
    [{ width: 1, height: 1 }, [12, 8]],
    [{ width: 200, height: 1 }, [101, 67]],
  ])("may come smaller, if it is a JPEG: at least %o", async (atLeast, size) => {
    const jpeg = await sharp(source, raw).jpeg({ quality: 100, chromaSubsampling: "4:4:4" }).toBuffer();
    const { width, height, data } = await decodeImage(jpeg, { atLeast });
    expect([width, height]).toEqual(size);
    // Each pixel shows the place it stands for, to half a pixel of the small image: libvips and the JPEG decoder do not
    // agree on what to do with the rest, where a side is no multiple of the factor.
    const factor = Math.floor(101 / width);
    // JPEG moves a value by one.
    const coded = 0.5;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const [red, green] = data.subarray((y * width + x) * 3) as unknown as [number, number];
        expect(Math.abs(red / 2 - (((x + 0.5) * 101) / width - 0.5))).toBeLessThanOrEqual(factor / 2 + coded);
        expect(Math.abs(green / 3 - (((y + 0.5) * 67) / height - 0.5))).toBeLessThanOrEqual(factor / 2 + coded);
      }
    }
    const png = await sharp(source, raw).png().toBuffer();
    expect(await decodeImage(png, { atLeast })).toMatchObject({ width: 101, height: 67 });
  });
});
