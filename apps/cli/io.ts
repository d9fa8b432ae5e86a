/** The world as a command sees it: passed in, so that commands run in tests without a process. */
export interface CliIo {
  /** Reads all of the standard input: `classify -` takes an image from it. */
  readonly stdin: () => Promise<Uint8Array>;
  /** Results: text for people, or one JSON document with `--json`. */
  readonly stdout: (text: string) => void;
  /** Progress, warnings and errors. */
  readonly stderr: (text: string) => void;
  /** Whether a person looks at stderr: draw a progress bar instead of plain lines. */
  readonly isTTY: boolean;
  /** Width of the terminal that stdout goes to, in characters; undefined for a file or pipe. */
  readonly columns?: number | undefined;
  /** Fires when the user presses Ctrl-C: finish the step, save, return. */
  readonly signal: AbortSignal;
}

export function writeJson(io: CliIo, value: unknown): void {
  io.stdout(`${JSON.stringify(value, undefined, 2)}\n`);
}
