import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { builtProgram } from "./build.mjs";
import { fenced } from "./generated-blocks.ts";
import { root } from "./project-root.mjs";

/**
 * Runs the commands of a console block again, in a new folder with the files, and shows what they print now. Where a file
 * is not there, as those of ../shared/ may be, the block stays as it is.
 * @param files below tests/golden/, or `shared/…`.
 * @param current the block; `$ ` begins a command, `\` at the end of a line continues it. Lines of a `…` alone stand for
 * what is left out: what comes between the lines before and after it.
 */
export function recordSession(files: readonly string[], current: string): string {
  const paths = files.map((file) => join(root, file.startsWith("shared/") ? ".." : "tests/golden", file));
  if (!paths.every((path) => existsSync(path))) return current;
  const folder = mkdtempSync(join(tmpdir(), "xception-session-"));
  try {
    for (const path of paths) copyFileSync(path, join(folder, basename(path)));
    return fenced(
      "console",
      commandsIn(current)
        .map((command) => printedBy(command, folder))
        .join("\n"),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface Command {
  readonly text: string;
  /** How many lines the block shows before `…`, and after it; all where there is none. */
  readonly shown: readonly [before: number, after: number] | undefined;
}

function commandsIn(block: string): readonly Command[] {
  const body = block.replace(/^```\w*\n/, "").replace(/\n```$/, "");
  const parts = body.split(/^\$ /m).slice(1);
  return parts.map((part) => {
    const [text = "", printed = ""] = splitAfterCommand(part);
    const lines = printed.trimEnd().split("\n");
    const gap = lines.indexOf("…");
    return { text, shown: gap === -1 ? undefined : [gap, lines.length - gap - 1] };
  });
}

/** A command, which `\` continues, and what it printed. */
function splitAfterCommand(part: string): readonly string[] {
  const end = /(?<!\\)\n|$/.exec(part)!.index;
  return [part.slice(0, end), part.slice(end + 1)];
}

function printedBy({ text, shown }: Command, folder: string): string {
  const script = `xception() { "$NODE" '${builtProgram(root)}' "$@"; }\n${text}`;
  const { stdout } = spawnSync("sh", ["-c", `{ ${script}\n} 2>&1`], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, NODE: process.execPath, XCEPTION_OFFLINE: "1" },
  });
  const lines = stdout.trimEnd().split("\n");
  if (shown === undefined || lines.length <= shown[0] + shown[1] + 1)
    return [`$ ${text}`, ...lines].join("\n").trimEnd();
  const last = shown[1] === 0 ? [] : lines.slice(-shown[1]);
  return [`$ ${text}`, ...lines.slice(0, shown[0]), "…", ...last].join("\n");
}
