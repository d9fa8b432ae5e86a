import { FormatError } from "../../base/errors.ts";

/** A value in a pickle: plain data, and what the handlers return for names and calls. */
export type PickleValue = unknown;

/** Handlers for the contents of a pickle. No code in a pickle ever runs: each handler returns plain data, or throws. */
export interface PickleHandlers {
  /** A class or function by its name. */
  readonly global: (module: string, name: string, refuse: Refuse) => PickleValue;
  /** A call of a value that `global` returned. */
  readonly call: (callable: PickleValue, values: readonly PickleValue[], refuse: Refuse) => PickleValue;
  /** Data stored outside the pickle. */
  readonly persistent: (id: PickleValue, refuse: Refuse) => PickleValue;
}

/** Throws a FormatError for the current opcode. */
export type Refuse = (what: string, received?: string, remedy?: string) => never;

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
  const machine = new PickleMachine(bytes, start, where, handlers);
  const value = machine.run();
  return { value, end: machine.position };
}

class PickleMachine {
  position: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #where: string;
  readonly #handlers: PickleHandlers;
  readonly #memo = new Map<number, PickleValue>();
  readonly #stack: PickleValue[] = [];
  #opcodeAt = 0;
  #values = 0;

  constructor(bytes: Uint8Array, start: number, where: string, handlers: PickleHandlers) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = start;
    this.#where = where;
    this.#handlers = handlers;
  }

  run(): PickleValue {
    for (;;) {
      this.#opcodeAt = this.position;
      const opcode = this.#bytes[this.#take(1)]!;
      if (opcode === 0x2e) return this.#pop();
      const execute = opcodes[opcode];
      if (!execute) this.refuse("unsupported opcode", `0x${opcode.toString(16).padStart(2, "0")}`);
      execute!(this);
    }
  }

  readonly refuse: Refuse = (what, received, remedy) => {
    throw new FormatError({
      where: `${this.#where}, pickle at byte ${this.#opcodeAt}`,
      what,
      ...(received !== undefined && { received }),
      ...(remedy !== undefined && { remedy }),
    });
  };

  push(value: PickleValue): void {
    if (this.#values++ >= mostValues) this.refuse("it has more values than weights can have");
    this.#stack.push(value);
  }

  /** Reads an unsigned little-endian integer. */
  unsigned(size: 1 | 2 | 4 | 8): number {
    const at = this.#take(size);
    if (size === 1) return this.#view.getUint8(at);
    if (size === 2) return this.#view.getUint16(at, true);
    return size === 4 ? this.#view.getUint32(at, true) : Number(this.#view.getBigUint64(at, true));
  }

  signed(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  float(): number {
    return this.#view.getFloat64(this.#take(8), false);
  }

  /** Reads a two's complement integer of any size; returns a bigint where a number would round it. */
  long(size: number): number | bigint {
    if (size > 16) this.refuse("an integer is too long", `${size} bytes`);
    const at = this.#take(size);
    let value = 0n;
    for (let index = size - 1; index >= 0; index--) value = (value << 8n) | BigInt(this.#bytes[at + index]!);
    value = BigInt.asIntN(8 * size, value);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  string(length: number): string {
    const at = this.#take(length);
    try {
      return text.decode(this.#bytes.subarray(at, at + length));
    } catch {
      return this.refuse("a string is not UTF-8");
    }
  }

  blob(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** Reads up to the next line feed. */
  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.position);
    if (end < 0) this.refuse("unterminated line");
    const line = this.string(end - this.position);
    this.#take(1);
    return line;
  }

  /** Removes the last `count` values. */
  popTuple(count: number): PickleValue[] {
    return Array.from({ length: count }, () => this.#pop()).reverse();
  }

  /** Removes the values after the last mark, and the mark. */
  popToMark(): PickleValue[] {
    const begin = this.#stack.lastIndexOf(mark);
    if (begin < 0) this.refuse("missing mark");
    const values = this.#stack.splice(begin + 1);
    this.#stack.pop();
    return values;
  }

  markHere(): void {
    this.push(mark);
  }

  memoize(index = this.#memo.size): void {
    this.#memo.set(index, this.#top());
  }

  recall(index: number): void {
    if (!this.#memo.has(index)) this.refuse("it refers to an unknown value", String(index));
    this.push(this.#memo.get(index));
  }

  append(values: readonly PickleValue[]): void {
    const list = this.#top();
    if (Array.isArray(list)) for (const value of values) list.push(value);
    else this.refuse("values are appended to something that is not a list");
  }

  setItems(values: readonly PickleValue[]): void {
    const dictionary = this.#top();
    if (values.length % 2 !== 0) this.refuse("a dictionary key has no value");
    // Items of classes that are allowed but ignored are dropped.
    if (!(dictionary instanceof Map)) return;
    for (let index = 0; index < values.length; index += 2) dictionary.set(values[index], values[index + 1]);
  }

  pushGlobal(module: PickleValue, name: PickleValue): void {
    const isName = typeof module === "string" && typeof name === "string";
    this.push(
      isName ? this.#handlers.global(module, name, this.refuse) : this.refuse("the name of a class is not a string"),
    );
  }

  call(): void {
    const [callable, values] = this.popTuple(2);
    const made = Array.isArray(values) ? this.#handlers.call(callable, values, this.refuse) : undefined;
    this.push(made ?? this.refuse("the arguments of a call are not a tuple"));
  }

  pushPersistent(): void {
    this.push(this.#handlers.persistent(this.#pop(), this.refuse));
  }

  #top(): PickleValue {
    const value = this.#stack.at(-1);
    if (this.#stack.length === 0 || value === mark) this.refuse("missing value");
    return value;
  }

  #pop(): PickleValue {
    const value = this.#top();
    this.#stack.pop();
    return value;
  }

  #take(size: number): number {
    const at = this.position;
    if (!(size <= this.#bytes.length - at)) {
      const received = `${size} bytes from byte ${at} on, of ${this.#bytes.length}`;
      this.refuse("the pickle is truncated", received, "Is the file truncated? Copy or download it again.");
    }
    this.position = at + size;
    return at;
  }
}

type Execute = (machine: PickleMachine) => void;

/** Supported opcodes, by their byte; all others are errors. */
const opcodes: Readonly<Record<number, Execute>> = {
  // PROTO, FRAME: ignored.
  128: (machine) => void machine.unsigned(1),
  149: (machine) => void machine.unsigned(8),
  // NONE, NEWTRUE, NEWFALSE
  78: (machine) => machine.push(null),
  136: (machine) => machine.push(true),
  137: (machine) => machine.push(false),
  // BININT, BININT1, BININT2, LONG1, LONG4, BINFLOAT
  74: (machine) => machine.push(machine.signed()),
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
  40: (machine) => machine.markHere(),
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
  99: (machine) => machine.pushGlobal(machine.line(), machine.line()),
  147: (machine) => {
    const [module, name] = machine.popTuple(2);
    machine.pushGlobal(module, name);
  },
  // REDUCE, NEWOBJ: both are calls.
  82: (machine) => machine.call(),
  129: (machine) => machine.call(),
  // BUILD: attributes of an object, ignored.
  98: (machine) => void machine.popTuple(1),
  // BINPERSID
  81: (machine) => machine.pushPersistent(),
};
