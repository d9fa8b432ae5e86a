import { FormatError } from "../../base/errors.ts";

/** A value in a pickle: plain data, and what the handlers return for names and calls. */
export type PickleValue = unknown;

/** Handlers for the contents of a pickle. No code in a pickle ever runs: each handler returns plain data, or fails. */
export interface PickleHandlers {
  /** A class or function by its name. */
  readonly global: (module: string, name: string) => PickleValue;
  /** A call of a value that `global` returned. */
  readonly call: (callable: PickleValue, values: readonly PickleValue[]) => PickleValue;
  /** Data stored outside the pickle. */
  readonly persistent: (id: PickleValue) => PickleValue;
}

/** Pickles of weights have some ten thousand values; more than this would only exhaust memory. */
const mostValues = 2 ** 22;

const mark = Symbol("mark");
const text = new TextDecoder("utf-8", { fatal: true });

/**
 * Reads one pickle: the subset of protocols 2 to 5 that dictionaries of tensors need. Dictionaries become Maps, tuples and
 * lists become arrays.
 * @param start offset of the pickle; `end` of the result is the offset after it.
 * @throws {FormatError} it is damaged, or has disallowed contents; the message names the byte offset.
 * @see https://docs.python.org/3/library/pickletools.html
 */
export function readPickle(bytes: Uint8Array, start: number, where: string, handlers: PickleHandlers) {
  const machine = new PickleMachine(bytes, start, handlers);
  let opcodeAt = start;
  try {
    for (;;) {
      opcodeAt = machine.position;
      const opcode = machine.unsigned(1);
      if (opcode === 0x2e) return { value: machine.pop(), end: machine.position };
      const execute = opcodes[opcode];
      if (execute === undefined) fail("unsupported opcode", `0x${opcode.toString(16).padStart(2, "0")}`);
      execute(machine);
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError({ ...error.parts, where: `${where}, pickle at byte ${opcodeAt}` });
  }
}

/**
 * Reports a problem of the current opcode.
 * @throws {FormatError} always; `readPickle` adds the place.
 */
export function fail(what: string, received?: string, remedy?: string): never {
  throw new FormatError({ where: "", what, received, ...(remedy !== undefined && { remedy }) });
}

class PickleMachine {
  position: number;
  readonly handlers: PickleHandlers;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #memo = new Map<number, PickleValue>();
  readonly #stack: PickleValue[] = [];
  #values = 0;

  constructor(bytes: Uint8Array, start: number, handlers: PickleHandlers) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = start;
    this.handlers = handlers;
  }

  push(value: PickleValue): void {
    if (this.#values++ >= mostValues) fail("it has more values than weights can have");
    this.#stack.push(value);
  }

  /** Reads an unsigned little-endian integer. */
  unsigned(size: 1 | 2 | 4 | 8): number {
    const at = this.#take(size);
    if (size === 1) return this.#view.getUint8(at);
    if (size === 2) return this.#view.getUint16(at, true);
    return size === 4 ? this.#view.getUint32(at, true) : Number(this.#view.getBigUint64(at, true));
  }

  float(): number {
    return this.#view.getFloat64(this.#take(8), false);
  }

  /** Reads a two's complement integer of any size; returns a bigint where a number would round it. */
  long(size: number): number | bigint {
    if (size > 16) fail("an integer is too long", `${size} bytes`);
    const value = this.blob(size).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    const signed = BigInt.asIntN(8 * size, value);
    return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
  }

  string(length: number): string {
    const bytes = this.blob(length);
    try {
      return text.decode(bytes);
    } catch {
      return fail("a string is not UTF-8");
    }
  }

  blob(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** Reads up to the next line feed. */
  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.position);
    if (end < 0) fail("unterminated line");
    const line = this.string(end - this.position);
    this.position++;
    return line;
  }

  pop(): PickleValue {
    const value = this.top();
    this.#stack.pop();
    return value;
  }

  /** Removes the last `count` values. */
  popTuple(count: number): PickleValue[] {
    return Array.from({ length: count }, () => this.pop()).reverse();
  }

  /** Removes the values after the last mark, and the mark. */
  popToMark(): PickleValue[] {
    const start = this.#stack.lastIndexOf(mark);
    if (start < 0) fail("missing mark");
    const values = this.#stack.splice(start + 1);
    this.#stack.pop();
    return values;
  }

  top(): PickleValue {
    const value = this.#stack.at(-1);
    if (this.#stack.length === 0 || value === mark) fail("missing value");
    return value;
  }

  memoize(index = this.#memo.size): void {
    this.#memo.set(index, this.top());
  }

  recall(index: number): void {
    if (!this.#memo.has(index)) fail("it refers to an unknown value", String(index));
    this.push(this.#memo.get(index));
  }

  append(values: readonly PickleValue[]): void {
    const list = this.top();
    if (!Array.isArray(list)) fail("values are appended to something that is not a list");
    for (const value of values) list.push(value);
  }

  setItems(values: readonly PickleValue[]): void {
    const dictionary = this.top();
    if (values.length % 2 !== 0) fail("a dictionary key has no value");
    // Items of classes that are allowed but ignored are dropped.
    if (!(dictionary instanceof Map)) return;
    for (let index = 0; index < values.length; index += 2) dictionary.set(values[index], values[index + 1]);
  }

  pushGlobal([module, name]: readonly PickleValue[]): void {
    if (typeof module !== "string" || typeof name !== "string") fail("the name of a class is not a string");
    this.push(this.handlers.global(module, name));
  }

  call(): void {
    const [callable, values] = this.popTuple(2);
    if (!Array.isArray(values)) fail("the arguments of a call are not a tuple");
    this.push(this.handlers.call(callable, values));
  }

  #take(size: number): number {
    const at = this.position;
    if (!(size <= this.#bytes.length - at)) {
      const received = `${size} bytes from byte ${at} on, of ${this.#bytes.length}`;
      fail("the pickle is truncated", received, "Is the file truncated? Copy or download it again.");
    }
    this.position = at + size;
    return at;
  }
}

/** Supported opcodes, by their byte; all others are errors. */
const opcodes: Readonly<Record<number, (machine: PickleMachine) => void>> = {
  // PROTO, FRAME: ignored.
  128: (machine) => machine.unsigned(1),
  149: (machine) => machine.unsigned(8),
  // NONE, NEWTRUE, NEWFALSE
  78: (machine) => machine.push(null),
  136: (machine) => machine.push(true),
  137: (machine) => machine.push(false),
  // BININT, BININT1, BININT2, LONG1, LONG4, BINFLOAT
  74: (machine) => machine.push(machine.unsigned(4) | 0),
  75: (machine) => machine.push(machine.unsigned(1)),
  77: (machine) => machine.push(machine.unsigned(2)),
  138: (machine) => machine.push(machine.long(machine.unsigned(1))),
  139: (machine) => machine.push(machine.long(machine.unsigned(4))),
  71: (machine) => machine.push(machine.float()),
  // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8, SHORT_BINSTRING, BINSTRING
  88: (machine) => machine.push(machine.string(machine.unsigned(4))),
  140: (machine) => machine.push(machine.string(machine.unsigned(1))),
  141: (machine) => machine.push(machine.string(machine.unsigned(8))),
  85: (machine) => machine.push(machine.string(machine.unsigned(1))),
  84: (machine) => machine.push(machine.string(machine.unsigned(4))),
  // BINBYTES, SHORT_BINBYTES
  66: (machine) => machine.push(machine.blob(machine.unsigned(4))),
  67: (machine) => machine.push(machine.blob(machine.unsigned(1))),
  // MARK, EMPTY_TUPLE, TUPLE, TUPLE1, TUPLE2, TUPLE3
  40: (machine) => machine.push(mark),
  41: (machine) => machine.push([]),
  116: (machine) => machine.push(machine.popToMark()),
  133: (machine) => machine.push(machine.popTuple(1)),
  134: (machine) => machine.push(machine.popTuple(2)),
  135: (machine) => machine.push(machine.popTuple(3)),
  // EMPTY_LIST, APPEND, APPENDS
  93: (machine) => machine.push([]),
  97: (machine) => machine.append(machine.popTuple(1)),
  101: (machine) => machine.append(machine.popToMark()),
  // EMPTY_DICT, SETITEM, SETITEMS
  125: (machine) => machine.push(new Map()),
  115: (machine) => machine.setItems(machine.popTuple(2)),
  117: (machine) => machine.setItems(machine.popToMark()),
  // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
  113: (machine) => machine.memoize(machine.unsigned(1)),
  114: (machine) => machine.memoize(machine.unsigned(4)),
  148: (machine) => machine.memoize(),
  104: (machine) => machine.recall(machine.unsigned(1)),
  106: (machine) => machine.recall(machine.unsigned(4)),
  // GLOBAL, STACK_GLOBAL
  99: (machine) => machine.pushGlobal([machine.line(), machine.line()]),
  147: (machine) => machine.pushGlobal(machine.popTuple(2)),
  // REDUCE, NEWOBJ: both are calls.
  82: (machine) => machine.call(),
  129: (machine) => machine.call(),
  // BUILD: attributes of an object, ignored.
  98: (machine) => machine.pop(),
  // BINPERSID
  81: (machine) => machine.push(machine.handlers.persistent(machine.pop())),
};
