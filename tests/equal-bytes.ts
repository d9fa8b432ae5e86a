import { expect } from "vitest";

/**
 * Typed arrays with the same bytes are equal. Vitest compares each element and its index, which takes a second for 200,000 of
 * them; it still does where bytes differ.
 */
function equalBytes(a: unknown, b: unknown): true | undefined {
  if (!ArrayBuffer.isView(a) || !ArrayBuffer.isView(b) || a.constructor !== b.constructor) return undefined;
  return bytesOf(a).equals(bytesOf(b)) || undefined;
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

expect.addEqualityTesters([equalBytes]);
