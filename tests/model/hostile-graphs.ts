import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** A field of a protobuf message: a number, text, bytes or a nested message. */
function field(number: number, value: number | string | Uint8Array): Buffer {
  if (typeof value === "number") return Buffer.concat([varint(number << 3), varint(value)]);
  const bytes = Buffer.from(value as string);
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = BigInt(value);
  do {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
}

/** Field numbers and element types are those of onnx.proto3. */
const [float32, int64, bool] = [1, 7, 9];

function node(
  operator: string,
  inputs: readonly string[],
  outputs: readonly string[],
  ...attributes: Buffer[]
): Buffer {
  const names = [...inputs.map((name) => field(1, name)), ...outputs.map((name) => field(2, name))];
  return Buffer.concat([...names, field(4, operator), ...attributes]);
}

function value(name: string, type: number, shape: readonly number[]): Buffer {
  const axes = shape.map((size) => field(1, field(1, size)));
  const tensor = Buffer.concat([field(1, type), field(2, Buffer.concat(axes))]);
  return Buffer.concat([field(1, name), field(2, field(1, tensor))]);
}

function tensor(name: string, type: number, shape: readonly number[], data: Uint8Array): Buffer {
  return Buffer.concat([...shape.map((size) => field(1, size)), field(2, type), field(8, name), field(9, data)]);
}

function integers(name: string, values: readonly number[]): Buffer {
  const data = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
  return field(5, tensor(name, int64, [values.length], data));
}

function scalar(name: string, type: number, data: Uint8Array): Buffer {
  return field(5, tensor(name, type, [], data));
}

/** Nodes, initializers and functions of a graph: `images [1, 3, 8, 8]` → `scores [1, 2]`. */
interface Parts {
  readonly nodes: readonly Buffer[];
  readonly stored?: readonly Buffer[];
  readonly functions?: readonly Buffer[];
}

function model({ nodes, stored = [], functions = [] }: Parts): Uint8Array {
  const graph = [
    ...nodes.map((each) => field(1, each)),
    field(2, "hostile"),
    ...stored,
    field(11, value("images", float32, [1, 3, 8, 8])),
    field(12, value("scores", float32, [1, 2])),
  ];
  const imports = [field(8, field(2, 17)), field(8, Buffer.concat([field(1, "own"), field(2, 1)]))];
  return Buffer.concat([
    field(1, 8),
    field(7, Buffer.concat(graph)),
    ...imports,
    ...functions.map((each) => field(25, each)),
  ]);
}

/** Reduces `x`, of four axes, to the scores. */
const scores = [
  node("ReduceMean", ["x"], ["mean"]),
  node("Reshape", ["mean", "one"], ["flat"]),
  node("Concat", ["flat", "flat"], ["scores"], field(5, Buffer.concat([field(1, "axis"), field(3, 1), field(20, 2)]))),
];
const one = integers("one", [1, 1]);

/** The same graph without anything hostile. */
export function harmlessGraph(): Uint8Array {
  return model({ nodes: [node("Relu", ["images"], ["x"]), ...scores], stored: [one] });
}

/** The body of a `Loop` over `images`. */
function loopBody(): Buffer {
  const body = Buffer.concat([
    field(1, node("Identity", ["go"], ["go on"])),
    field(1, node("Sin", ["before"], ["after"])),
    field(2, "body"),
    field(11, value("round", int64, [])),
    field(11, value("go", bool, [])),
    field(11, value("before", float32, [1, 3, 8, 8])),
    field(12, value("go on", bool, [])),
    field(12, value("after", float32, [1, 3, 8, 8])),
  ]);
  return field(5, Buffer.concat([field(1, "body"), field(6, body), field(20, 5)]));
}

const endless = 2n ** 62n;

/** A `Loop` of 2⁶² rounds. */
export function endlessLoop(): Uint8Array {
  const rounds = new Uint8Array(BigInt64Array.of(endless).buffer);
  return model({
    nodes: [node("Loop", ["rounds", "yes", "images"], ["x"], loopBody()), ...scores],
    stored: [one, scalar("rounds", int64, rounds), scalar("yes", bool, Uint8Array.of(1))],
  });
}

/**
 * A graph that does not run on every image. With a largest value from 0.25 it never ends, from 0.5 its scores are NaN, and
 * from 0.625 the engine fails.
 */
export function pickyGraph(): Uint8Array {
  const rounds = new Uint8Array(BigInt64Array.of(0n, 0n, endless, 0n, 0n).buffer);
  const factors = new Uint8Array(Float32Array.of(1, 1, 1, 1, Number.NaN).buffer);
  const toInteger = field(5, Buffer.concat([field(1, "to"), field(3, int64), field(20, 2)]));
  return model({
    nodes: [
      node("Relu", ["images"], ["positive"]),
      node("ReduceMax", ["positive"], ["largest"]),
      node("Mul", ["largest", "eight"], ["eighths"]),
      node("Cast", ["eighths"], ["integer"], toInteger),
      node("Reshape", ["integer", "list"], ["index"]),
      node("Gather", ["factors", "index"], ["factor"]),
      node("Gather", ["all rounds", "index"], ["rounds"]),
      node("Loop", ["rounds", "yes", "images"], ["same"], loopBody()),
      node("Mul", ["same", "factor"], ["x"]),
      ...scores,
    ],
    stored: [
      one,
      integers("list", [1]),
      scalar("eight", float32, new Uint8Array(Float32Array.of(8).buffer)),
      scalar("yes", bool, Uint8Array.of(1)),
      field(5, tensor("factors", float32, [5], factors)),
      field(5, tensor("all rounds", int64, [5], rounds)),
    ],
  });
}

/** A constant that expands to `gibibytes`. */
export function hugeConstant(gibibytes = 6): Uint8Array {
  return model({
    nodes: [node("Expand", ["zero", "shape"], ["large"]), node("Add", ["large", "images"], ["x"]), ...scores],
    stored: [
      one,
      field(5, tensor("zero", float32, [1], new Uint8Array(4))),
      integers("shape", [(gibibytes * 2 ** 30) / (4 * 192), 3, 8, 8]),
    ],
  });
}

/** Functions of which each calls the next one twice. */
export function doublingFunctions(depth = 40): Uint8Array {
  const own = field(7, "own");
  const functions = Array.from({ length: depth }, (_, level) => {
    const inner =
      level + 1 === depth ? { operator: "Relu", domain: Buffer.alloc(0) } : { operator: `f${level + 1}`, domain: own };
    return Buffer.concat([
      field(1, `f${level}`),
      field(4, "in"),
      field(5, "out"),
      field(7, Buffer.concat([node(inner.operator, ["in"], ["middle"]), inner.domain])),
      field(7, Buffer.concat([node(inner.operator, ["middle"], ["out"]), inner.domain])),
      field(9, field(2, 17)),
      field(9, Buffer.concat([field(1, "own"), field(2, 1)])),
      field(10, "own"),
    ]);
  });
  return model({ nodes: [Buffer.concat([node("f0", ["images"], ["x"]), own]), ...scores], stored: [one], functions });
}

/** A chain of nodes. */
export function manyNodes(count = 1_000_000): Uint8Array {
  const chain = Array.from({ length: count }, (_, index) =>
    node("Relu", [index === 0 ? "images" : `v${index}`], [index + 1 === count ? "x" : `v${index + 1}`]),
  );
  return model({ nodes: [...chain, ...scores], stored: [one] });
}

/** Writes a graph into a folder. */
export function writeGraph(folder: string, name: string, graph: Uint8Array): string {
  const path = join(folder, `${name}.onnx`);
  writeFileSync(path, graph);
  return path;
}
