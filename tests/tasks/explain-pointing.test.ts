import { expect, it } from "vitest";
import { readBoxes } from "../../src/data/boxes.ts";
import { nodePlatform as platform } from "../../src/runtime/node/platform.ts";
import { pointingGame, pointsInto } from "../../src/tasks/explain/pointing.ts";
import { floatTensor } from "../../src/tensor/tensor.ts";

const csv = 'file,label,x,y,width,height\n"a,b.jpg",cat,1,2,30,40.5\n\ndogs/c.jpg,,0,0,5,5\n';
const coco = {
  images: [{ id: 7, file_name: "a,b.jpg" }],
  categories: [{ id: 1, name: "cat" }],
  annotations: [{ image_id: 7, category_id: 1, bbox: [1, 2, 30, 40.5], area: 1215 }],
};

it("reads boxes from CSV and from COCO's JSON", () => {
  const cat = { file: "a,b.jpg", label: "cat", bounds: [1, 2, 30, 40.5] };
  expect(readBoxes(csv, "boxes")).toEqual([cat, { file: "dogs/c.jpg", label: undefined, bounds: [0, 0, 5, 5] }]);
  expect(readBoxes(JSON.stringify(coco), "boxes")).toEqual([cat]);
});

const unknown = (annotation: object) =>
  JSON.stringify({ ...coco, annotations: [{ ...coco.annotations[0], ...annotation }] });
it.each([
  ["a.jpg,cat,1,2,3", 'boxes, line 1: this is not a box; received "a.jpg,cat,1,2,3"'],
  ["file,label,x,y,width,height\na.jpg,cat,1,2,0,4", "boxes, line 2: this is not a box"],
  ["a.jpg,cat,1,,3,4", "expected file,label,x,y,width,height with width and height above 0"],
  ["", "boxes: it has no boxes; expected lines of file,label,x,y,width,height, or COCO's JSON"],
  [unknown({ image_id: 8 }), "boxes, field annotations.0: there is no image of this id; received 8"],
  [unknown({ category_id: "x" }), 'boxes, field annotations.0: there is no category of this id; received "x"'],
  [unknown({ bbox: [1, 2, 3] }), "boxes, field annotations.0.bbox"],
])("rejects %s", (text, message) => {
  expect(() => readBoxes(text, "boxes")).toThrow(message);
});

// The maximum is the right cell of the upper row: its center is at 5/6 of the width and 1/4 of the height.
const map = floatTensor([2, 3], Float32Array.of(0, 1, 9, 2, 3, 8));
const read = { width: 60, height: 40 };
it.each([
  // Stretched: 5/6 · 300, 1/4 · 100.
  [{ fit: "fill" }, { width: 300, height: 100 }, [250, 25]],
  // Only the middle 150 of 300 columns are read.
  [{ fit: "cover" }, { width: 300, height: 100 }, [75 + 125, 25]],
  // 300×100 fills the width; bars of 50 rows above and below: 1/4 · 200 − 50.
  [{ fit: "contain" }, { width: 300, height: 100 }, [250, 0]],
  // The middle half in each direction.
  [{ fit: "fill", cropRatio: 0.5 }, { width: 300, height: 100 }, [75 + 125, 25 + 12.5]],
] as const)("finds the maximum in the original image: %j", (preprocessing, original, [x, y]) => {
  const hits = (left: number, top: number) =>
    pointsInto(map, [{ file: "", label: undefined, bounds: [left, top, 1, 1] }], { ...preprocessing, original, read });
  expect(hits(x - 0.5, y - 0.5)).toBe(true);
  for (const [right, down] of [
    [1, 0],
    [-2, 0],
    [0, 1],
    [0, -2],
  ] as const) {
    expect(hits(x + right, y + down), `${right} ${down}`).toBe(false);
  }
});

it("counts each class that has boxes in an image, boxes without a label for the top class", async () => {
  const image = { width: 300, height: 100, data: new Uint8Array(90_000) };
  const images = ["photos/cats/a.png", "photos/b.png"].map((file) => ({ file, image }));
  const model = {
    labels: ["cat", "dog"],
    preprocessing: { scale: 1, offset: 0, fit: "fill", background: [0, 0, 0] },
  } as const;
  const lines = [
    "a.png,,240,20,20,20",
    "a.png,dog,0,0,9,9",
    "a.png,fox,0,0,300,100",
    "cats/a.png,dog,249,24,2,2",
    "x.png,,0,0,9,9",
  ];
  const game = pointingGame(readBoxes(lines.join("\n"), "boxes"), images, model, platform);
  const play = async (of: (label: string) => typeof map) => {
    game.start();
    for (const { file } of images)
      await game.play(file, { label: "cat", image: { ...image, ...read } }, async (label) => of(label));
    return game.result();
  };
  expect(await play(() => map)).toEqual({ hits: 2, total: 2 });
  const mirrored = floatTensor([2, 3], Float32Array.of(9, 1, 0, 8, 3, 2));
  expect(await play((label) => (label === "dog" ? mirrored : map))).toEqual({ hits: 1, total: 2 });
  expect(() => pointingGame(readBoxes("z.png,cat,0,0,9,9", "boxes"), images, model, platform)).toThrow(
    'boxes: none is of one of the images and of a class of the model; received ["z.png,cat"]; expected e.g. photos/cats/a.png,cat.',
  );
});
