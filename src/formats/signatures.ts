/** First bytes of files: to recognize a format without the code that reads it. */
export interface Signature {
  /** Its name and usual extensions, for messages: `ONNX (.onnx)`. */
  readonly title: string;
  /** Returns whether the first bytes look like this format. */
  readonly detect: (bytes: Uint8Array) => boolean;
}

/** The entry of a PyTorch archive with its objects. */
export const pickleName = /^[^/]*\/data\.pkl$/;
const legacyMagic = [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];
/** The format's own limit on its header, in bytes. */
const safetensorsLimit = 100_000_000;
/** Bytes of the length of its header. */
export const safetensorsLengthBytes = 8;

/** Formats of other tools. */
export const signatures = {
  torch: { title: "PyTorch (.pth, .pt)", detect: isTorch },
  keras: {
    title: "Keras (.keras, .h5, .hdf5, .weights.h5)",
    detect: (bytes: Uint8Array) => isHdf5(bytes) || isZip(bytes),
  },
  safetensors: { title: "safetensors of timm (.safetensors)", detect: isSafetensors },
  tfjs: {
    title: "TensorFlow.js (model.json)",
    detect: (bytes: Uint8Array) => /^\s*(\[\s*)?\{\s*"/.test(new TextDecoder("latin1").decode(bytes.subarray(0, 64))),
  },
} as const satisfies Readonly<Record<string, Signature>>;

/** Detects PyTorch's two containers: a zip archive whose first entry is a pickle, or a pickle of its magic number. */
export function isTorch(bytes: Uint8Array): boolean {
  if (legacyMagic.every((byte, offset) => bytes[offset] === byte)) return true;
  if (!isZip(bytes) || bytes.length < 30) return false;
  const nameLength = bytes[26]! | (bytes[27]! << 8);
  return pickleName.test(new TextDecoder().decode(bytes.subarray(30, 30 + nameLength)));
}

/** Detects the JSON header that every `.safetensors` file starts with, after its length. */
export function isSafetensors(bytes: Uint8Array): boolean {
  if (bytes.length <= safetensorsLengthBytes || bytes[safetensorsLengthBytes] !== 0x7b) return false;
  return safetensorsHeaderLength(bytes) <= safetensorsLimit;
}

/** Length of the header of a `.safetensors` file, as it states it. */
export function safetensorsHeaderLength(bytes: Uint8Array): number {
  return Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
}

/** Detects a zip archive. */
export function isZip(bytes: Uint8Array): boolean {
  return [0x50, 0x4b, 0x03, 0x04].every((byte, offset) => bytes[offset] === byte);
}

/** Detects an HDF5 file. */
export function isHdf5(bytes: Uint8Array): boolean {
  return [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a].every((byte, offset) => bytes[offset] === byte);
}

/** The beginning of a file of an unknown format, for errors. */
export function firstBytes(bytes: Uint8Array): string {
  const hex = [...bytes.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0"));
  return `the bytes ${hex.join(" ")} at offset 0`;
}
