import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it, test } from "vitest";
import { FileError, UsageError } from "../../src/base/errors.ts";
import type { ImageSource, Source, SourceReader } from "../../src/base/platform.ts";
import { isAddress, nameOfSource, readSource } from "../../src/base/source.ts";
import { nodePlatform } from "../../src/runtime/node/platform.ts";

const folder = mkdtempSync(join(tmpdir(), "source-"));
const bytes = Uint8Array.of(1, 2, 3);
const path = join(folder, "a #1.bin");
writeFileSync(path, bytes);

/** Node's files, and addresses that hold three bytes. */
const asked: string[] = [];
const reader: SourceReader = {
  files: nodePlatform.files,
  downloads: {
    read: async (address) => {
      asked.push(address);
      return bytes.slice();
    },
  },
};
const buffer = bytes.slice().buffer;

describe("a source", () => {
  const sources: readonly (readonly [kind: string, source: Source, name: string | undefined])[] = [
    ["path", path, path],
    ["file: URL", pathToFileURL(path), pathToFileURL(path).href],
    ["file: address", pathToFileURL(path).href, pathToFileURL(path).href],
    ["address", "https://host/a.bin#md5=1", "https://host/a.bin#md5=1"],
    ["URL", new URL("http://host/a.bin"), "http://host/a.bin"],
    ["Blob", new Blob([bytes]), undefined],
    ["File", new File([bytes], "a.bin"), "a.bin"],
    ["ArrayBuffer", buffer, undefined],
    ["Uint8Array", bytes, undefined],
  ];

  test.each(sources)("%s is read, and has a name", async (_, source, name) => {
    expect([...(await readSource(source, reader))]).toEqual([1, 2, 3]);
    expect(nameOfSource(source)).toBe(name);
  });

  it("that is an address reaches the downloads as it is", () => {
    expect(asked).toEqual(["https://host/a.bin#md5=1", "http://host/a.bin"]);
  });

  it("of bytes is not copied", async () => {
    expect(await readSource(bytes, reader)).toBe(bytes);
    expect((await readSource(buffer, reader)).buffer).toBe(buffer);
  });

  test.each([
    [null, "null"],
    [undefined, "undefined"],
    [42, "number"],
    ["", ""],
    [{ width: 1 }, "object"],
  ])("is not %j", async (source, received) => {
    const error: unknown = await readSource(source as never, reader).catch((each) => each);
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toBe(
      `source: this is not a file; received "${received}"; ` +
        "expected a path, an address, a URL, a Blob, an ArrayBuffer or a Uint8Array.",
    );
  });

  it("without files is an address relative to the page, and without downloads its bytes have to be given", async () => {
    expect(await readSource("model.onnx", { downloads: reader.downloads! })).toEqual(bytes);
    expect(asked.at(-1)).toBe("model.onnx");
    const refused = 'file "model.onnx": this platform cannot read it; expected the file\'s bytes.';
    await expect(readSource("model.onnx", {})).rejects.toThrow(refused);
    await expect(readSource("http://host/a", { files: nodePlatform.files })).rejects.toThrow(/cannot read it/);
    await expect(readSource("file:///a", { downloads: reader.downloads! })).rejects.toThrow(/cannot read it/);
  });

  test.each([
    ["https://host/a", true],
    ["FTP://host/a", true],
    ["C:\\a", false],
    ["a/b", false],
    ["imagenet", false],
  ])("%s is an address: %j", (source, expected) => {
    expect(isAddress(source)).toBe(expected);
  });
});

describe("an image source", async () => {
  const { images } = nodePlatform;
  const pixels = { width: 2, height: 2, data: Uint8Array.from({ length: 12 }, (_, index) => 20 * index) };
  const png = await images.encodePng(pixels);
  const file = join(folder, "a.png");
  writeFileSync(file, png);

  const sources: readonly (readonly [kind: string, source: ImageSource])[] = [
    ["path", file],
    ["URL", pathToFileURL(file)],
    ["Blob", new Blob([new Uint8Array(png)])],
    ["ArrayBuffer", new Uint8Array(png).buffer],
    ["Uint8Array", png],
    ["pixels", pixels],
  ];

  test.each(sources)("%s gives the same pixels", async (_, source) => {
    const sized = { width: 2, height: 2, fit: "contain", background: [0, 0, 0] } as const;
    for (const options of [{}, sized]) {
      const { width, height, data } = await images.decode(source, options);
      expect({ width, height, data: [...data] }).toEqual({ width: 2, height: 2, data: [...pixels.data] });
    }
    const { data } = await images.decode(source, { width: 1, height: 2 });
    expect([...data]).toEqual([...(await images.decode(png, { width: 1, height: 2 })).data]);
  });

  it("that cannot be read is bad data", async () => {
    const error: unknown = await images.decode(pathToFileURL(join(folder, "none.png")), {}).catch((each) => each);
    expect(error).toMatchObject({ code: "DATA", message: expect.stringContaining("there is no such file") });
    expect((error as Error).cause).toBeInstanceOf(FileError);
  });

  test.each([
    [42, "number"],
    [null, "null"],
    [undefined, "undefined"],
    ["", ""],
    [{ width: 1, height: 1, data: [0, 0, 0] }, "object"],
  ])("is not %j", async (image, received) => {
    await expect(images.decode(image as never, { width: 2, height: 2 })).rejects.toThrow(
      `image: this is not an image source; received "${received}"; expected a path, an address, a URL, ` +
        "a Blob, the bytes of an encoded image, or pixels {width, height, data: Uint8Array}.",
    );
  });
});
