import { basename, dirname, resolve } from "node:path";

/** What people would call the data: not `train` but `photos/train`. No more of the path, which is nobody's business. */
export function nameOf(folder: string): string {
  const name = basename(resolve(folder));
  return /^(train|val|test)/i.test(name) ? `${basename(dirname(resolve(folder)))}/${name}` : name;
}
