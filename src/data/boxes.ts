import { parseCsv } from "../base/csv.ts";
import { FormatError } from "../base/errors.ts";
import { parseJson } from "../base/json.ts";
import { matching, number, readNumber, string } from "../base/kinds.ts";
import { check, either, fitting, list, object, tuple } from "../base/schema.ts";

/** A box around an object in an image. */
export interface LabeledBox {
  /** The end of the image's path, e.g. its name. */
  readonly file: string;
  /** Class of the object; undefined: that of the image. */
  readonly label: string | undefined;
  /** Left, top, width and height, in pixels of the image as it is shown. */
  readonly bounds: readonly [x: number, y: number, width: number, height: number];
}

const side = number({ above: 0 });
const boundsSchema = tuple(number(), number(), side, side);
const id = either(number(), string);
const cocoSchema = object({
  images: list(object({ id, file_name: matching(/./s, "a file name") })),
  categories: list(object({ id, name: string })),
  annotations: list(object({ image_id: id, category_id: id, bbox: boundsSchema })),
});

/**
 * Reads boxes from CSV, `file,label,x,y,width,height` on each line (an empty label: the class of the image; a first line that
 * starts with `file,` is a header), or from a JSON file of COCO.
 * @param where the file's name in errors.
 * @throws {FormatError} a line or a field is invalid, or there are no boxes.
 * @see https://cocodataset.org/#format-data
 */
export function readBoxes(text: string, where: string): readonly LabeledBox[] {
  const boxes = /^\s*\{/.test(text) ? cocoBoxes(text, where) : csvBoxes(text, where);
  if (boxes.length > 0) return boxes;
  throw new FormatError({
    where,
    what: "it has no boxes",
    expected: "lines of file,label,x,y,width,height, or COCO's JSON",
  });
}

function csvBoxes(text: string, where: string): readonly LabeledBox[] {
  return [...parseCsv(text, where)].flatMap(({ line, fields }, index): LabeledBox[] => {
    if (index === 0 && fields[0] === "file") return [];
    const [file = "", label = "", ...numbers] = fields.map((field) => field.trim());
    const { value: bounds } = check(boundsSchema, numbers.map(readNumber));
    if (file !== "" && bounds) return [{ file, label: label === "" ? undefined : label, bounds }];
    throw new FormatError({
      where: `${where}, line ${line}`,
      what: "this is not a box",
      received: fields.join(","),
      expected: "file,label,x,y,width,height with width and height above 0",
    });
  });
}

function cocoBoxes(text: string, where: string): readonly LabeledBox[] {
  const { images, categories, annotations } = fitting(cocoSchema, parseJson(text, where), where);
  const files = new Map(images.map((image) => [image.id, image.file_name]));
  const names = new Map(categories.map((category) => [category.id, category.name]));
  return annotations.map(({ image_id: image, category_id: category, bbox }, index) => {
    const [file, label] = [files.get(image), names.get(category)];
    if (file !== undefined && label !== undefined) return { file, label, bounds: bbox };
    throw new FormatError({
      where: `${where}, field annotations.${index}`,
      what: file === undefined ? "there is no image of this id" : "there is no category of this id",
      received: file === undefined ? image : category,
    });
  });
}
