import type { ImageChange, Move } from "./image-change.ts";
import type { Operation } from "./rand-augment.ts";

/**
 * What happens to an image in short words, one line for each stage; stages in which nothing happens are left out. Only the
 * spaces between the words of two changes are such that a line may be broken there.
 * @example describeImageChange(change) // ["flip, turn 7°, window 84 %", "brightness ×1.10", "solarize 25"]
 */
export function describeImageChange({ move, colors, hueTurn, operations, erased }: ImageChange): string[] {
  const { brightness, contrast, saturation } = colors;
  const stages = [
    describeMove(move),
    [
      ...factor("brightness", brightness),
      ...factor("contrast", contrast),
      ...factor("saturation", saturation),
      ...(hueTurn === 0 ? [] : [`hue ${signed(360 * hueTurn)}°`]),
    ],
    operations.map(describeOperation),
    erased ? [`erase ${percent(erased.width * erased.height)}`] : [],
  ];
  return stages.filter(({ length }) => length > 0).map((stage) => stage.map(withoutBreaks).join(", "));
}

function describeMove({ isFlipped, window, rotationDegrees, scale, shiftX, shiftY }: Move): string[] {
  const area = window.width * window.height;
  return [
    ...(isFlipped ? ["flip"] : []),
    ...(area === 1 ? [] : [`window ${percent(area)}`]),
    ...(rotationDegrees === 0 ? [] : [`turn ${signed(rotationDegrees)}°`]),
    ...factor("scale", scale),
    ...(shiftX === 0 && shiftY === 0 ? [] : [`shift ${signed(100 * shiftX)}, ${signed(100 * shiftY)} %`]),
  ];
}

function describeOperation({ name, argument }: Operation): string {
  switch (name) {
    case "identity":
    case "auto-contrast":
    case "equalize":
      return name;
    case "rotate":
      return `${name} ${signed(argument)}°`;
    case "shear-x":
    case "shear-y":
    case "translate-x":
    case "translate-y":
      return `${name} ${signed(100 * argument)} %`;
    case "posterize":
      return `${name} ${argument} bits`;
    case "solarize":
      return `${name} from ${Math.ceil(argument)}`;
    default:
      return `${name} ×${argument.toFixed(2)}`;
  }
}

/** With spaces at which no line is broken. */
function withoutBreaks(text: string): string {
  return text.replaceAll(" ", "\u00a0");
}

function factor(name: string, value: number): string[] {
  return value === 1 ? [] : [`${name} ×${value.toFixed(2)}`];
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

function signed(value: number): string {
  const rounded = Math.round(value);
  return rounded < 0 ? `−${-rounded}` : `${rounded}`;
}
