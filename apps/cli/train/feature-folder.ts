import { join } from "node:path";
import { FileError } from "../../../src/errors.ts";
import { makeFolders, readFile, writeFileAtomic } from "../../../src/runtime/node-files.ts";
import type { FeatureCache } from "../../../src/tasks/train/head-phase-options.ts";

/** Features of frozen networks as files of a folder, which is made when there is something to put into it. */
export function featureFolder(folder: string): FeatureCache {
  return {
    read: async (name) => {
      try {
        return await readFile(join(folder, name));
      } catch (error) {
        if (error instanceof FileError && isMissing(error.cause as NodeJS.ErrnoException)) return undefined;
        throw error;
      }
    },
    write: async (name, bytes) => {
      await makeFolders(folder);
      await writeFileAtomic(join(folder, name), bytes);
    },
  };
}

/** Where the folder is a file, writing will say so. */
function isMissing({ code }: NodeJS.ErrnoException): boolean {
  return code === "ENOENT" || code === "ENOTDIR";
}
