import { h, svg } from "../dom.ts";

/** A curve: its name, its values after each epoch, and the name of its color. */
export interface Curve {
  readonly name: string;
  readonly values: readonly number[];
  readonly color: "accent" | "second";
}

const [width, height] = [320, 120];

/** Draws curves from 0 to the highest value; NaN is left out. */
export function drawCurves(title: string, curves: readonly Curve[], format: (value: number) => string): HTMLElement {
  const values = curves.flatMap((curve) => curve.values).filter(Number.isFinite);
  const highest = Math.max(...values, 1e-9);
  const length = Math.max(...curves.map((curve) => curve.values.length), 2);
  const known = curves.filter((curve) => curve.values.some(Number.isFinite));
  const pathOf = ({ values: own }: Curve) => {
    const points = own.flatMap((value, index) =>
      Number.isFinite(value)
        ? `${((index / (length - 1)) * width).toFixed(1)} ${(height - (value / highest) * height).toFixed(1)}`
        : [],
    );
    return `M${points.join("L")}`;
  };
  const last = (curve: Curve) => format(curve.values.findLast(Number.isFinite)!);
  return h(
    "figure",
    { class: "curves" },
    h("figcaption", {}, title),
    svg(
      "svg",
      {
        viewBox: `-2 -4 ${width + 4} ${height + 8}`,
        role: "img",
        "aria-label": known.map((curve) => `${curve.name}: ${last(curve)}`).join(", "),
      },
      svg("path", { class: "axis", d: `M0 0V${height}H${width}` }),
      ...known.map((curve) => svg("path", { class: `curve ${curve.color}`, d: pathOf(curve) })),
    ),
    h(
      "p",
      { class: "key" },
      ...known.map((curve) => h("span", { class: curve.color }, `${curve.name} ${last(curve)}`)),
    ),
  );
}
