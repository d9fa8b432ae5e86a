import { expect, test } from "vitest";
import { fusable } from "../../src/compiler/quantize/fusable.ts";
import { OpGraphBuilder } from "../../src/graph/op-builder.ts";
import { printOpGraph } from "../../src/graph/op-print.ts";
import type { OpGraph, Value } from "../../src/graph/ops.ts";
import { interpret } from "../oracles/interpreter.ts";

/** Two inputs of bytes, and functions that round and expand activations. */
function start() {
  const build = new OpGraphBuilder();
  const scale = build.constant(0.5);
  const expanded = (bytes: Value, zeroPoint = 100) =>
    build.op({ kind: "dequantizeLinear", zeroPoint, axis: 0 }, [bytes, scale]);
  const rounded = (value: Value, zeroPoint: number, hint: string) =>
    build.op({ kind: "quantizeLinear", zeroPoint }, [value, scale], hint);
  const [a, b] = [build.input("a", [1, 3], "uint8"), build.input("b", [1, 3], "uint8")];
  return { build, scale, expanded, rounded, a, b };
}

const operations = (graph: OpGraph) => printOpGraph(graph).slice(printOpGraph(graph).indexOf("constant"));
const feeds = new Map([
  ["a", Float64Array.of(90, 100, 130)],
  ["b", Float64Array.of(104, 90, 255)],
  ["kernel", Float64Array.of(1, -2, 3, 4, -5, 6)],
  ["kernel scale", Float64Array.of(0.25, 0.5)],
  ["bias", Float64Array.of(0.1, -0.7)],
]);

test("a sum of bytes becomes one sum for each rounding, also of the rectified sum", () => {
  const { build, expanded, rounded, a, b } = start();
  const sum = build.op({ kind: "add" }, [expanded(a), expanded(b)], "sum");
  build.output("signed", expanded(rounded(sum, 128, "signed~uint8"), 128));
  build.output("rectified", expanded(rounded(build.op({ kind: "relu" }, [sum], "act"), 0, "act~uint8"), 0));
  const graph = build.finish();
  expect(operations(fusable(graph))).toMatchInlineSnapshot(`
    "constant constant: scalar = 0.5
    dequantizeLinear: 1×3 = dequantizeLinear(a, constant) {zeroPoint: 100, axis: 0}
    dequantizeLinear.1: 1×3 = dequantizeLinear(b, constant) {zeroPoint: 100, axis: 0}
    sum: 1×3 = add(dequantizeLinear, dequantizeLinear.1)
    signed~uint8: uint8 1×3 = quantizeLinear(sum, constant) {zeroPoint: 128}
    dequantizeLinear.2: 1×3 = dequantizeLinear(signed~uint8, constant) {zeroPoint: 128, axis: 0}
    sum.1: 1×3 = add(dequantizeLinear, dequantizeLinear.1)
    act: 1×3 = relu(sum.1)
    act~uint8: uint8 1×3 = quantizeLinear(act, constant) {zeroPoint: 0}
    dequantizeLinear.3: 1×3 = dequantizeLinear(act~uint8, constant) {zeroPoint: 0, axis: 0}
    output signed = dequantizeLinear.2
    output rectified = dequantizeLinear.3
    "
  `);
  // (90 − 100 + 104 − 100) / 2 = −3, (100 − 100 + 90 − 100) / 2 = −5, (130 − 100 + 255 − 100) / 2 = 92.5, limited to 127 / 2.
  const expected = { signed: [-3, -5, 63.5], rectified: [0, 0, 92.5] };
  for (const each of [graph, fusable(graph)]) {
    const results = interpret(each, feeds);
    expect(Object.fromEntries([...results].map(([name, data]) => [name, [...data]]))).toEqual(expected);
  }
});

test("a sum that something reads in float32 stays one", () => {
  const { build, expanded, rounded, a, b } = start();
  const sum = build.op({ kind: "add" }, [expanded(a), expanded(b)], "sum");
  build.output("rounded", expanded(rounded(sum, 128, "sum~uint8"), 128));
  build.output("float", build.op({ kind: "sqrt" }, [sum], "root"));
  const graph = build.finish();
  expect(printOpGraph(fusable(graph))).toBe(printOpGraph(graph));
});

test("the bias of a dense layer is subtracted with the opposite sign, if its kernel has integers", () => {
  const { build, expanded, a } = start();
  const integers = build.parameter("kernel", [3, 2], "int8");
  const scales = build.parameter("kernel scale", [2]);
  const kernel = build.op({ kind: "dequantizeLinear", zeroPoint: 0, axis: 1 }, [integers, scales]);
  const bias = build.parameter("bias", [2]);
  const dense = (x: Value, weights: Value) => {
    const product = build.op({ kind: "matMul", transposeA: false, transposeB: false }, [x, weights], "product");
    return build.op({ kind: "add" }, [product, bias], "dense");
  };
  build.output("dense", dense(expanded(a), kernel));
  build.output("float", dense(expanded(a), build.parameter("float kernel", [3, 2])));
  const graph = build.finish();
  expect(operations(fusable(graph))).toMatchInlineSnapshot(`
    "constant constant: scalar = 0.5
    constant constant.1: scalar = -1
    dequantizeLinear: 3×2 = dequantizeLinear(kernel, kernel scale) {zeroPoint: 0, axis: 1}
    dequantizeLinear.1: 1×3 = dequantizeLinear(a, constant) {zeroPoint: 100, axis: 0}
    product: 1×2 = matMul(dequantizeLinear.1, dequantizeLinear) {transposeA: false, transposeB: false}
    bias/negative: 2 = multiply(bias, constant.1)
    dense: 1×2 = subtract(product, bias/negative)
    dequantizeLinear.2: 1×3 = dequantizeLinear(a, constant) {zeroPoint: 100, axis: 0}
    product.1: 1×2 = matMul(dequantizeLinear.2, float kernel) {transposeA: false, transposeB: false}
    dense.1: 1×2 = add(product.1, bias)
    output dense = dense
    output float = dense.1
    "
  `);
  const all = new Map(feeds).set("float kernel", Float64Array.of(1, 2, 3, 4, 5, 6));
  expect(interpret(fusable(graph), all)).toEqual(interpret(graph, all));
  // −5 · 0.25 · 1 + 0 · … + 15 · 0.25 · (−5) + 0.1, and −5 · 0.5 · (−2) + 15 · 0.5 · 6 − 0.7
  const [first, second] = interpret(fusable(graph), all).get("dense")!;
  expect(first).toBeCloseTo(-19.9, 12);
  expect(second).toBeCloseTo(49.3, 12);
});
