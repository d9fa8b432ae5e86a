import { basename, dirname, resolve } from "node:path";

/** What people would call data or weights: not `train` but `photos/train`, not `model.onnx` but `run/model.onnx`. No more of the path, which is nobody's business. */
export function nameOf(folder: string): string {
  const name = basename(resolve(folder));
  return /^(train|val|test|model\.)/i.test(name) ? `${basename(dirname(resolve(folder)))}/${name}` : name;
}
