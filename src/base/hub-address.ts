import { UsageError } from "./errors.ts";

/** A file of a Hugging Face repository. */
export interface HubPlace {
  /** `owner/name`. */
  readonly repo: string;
  /** Branch, tag, commit or other reference, with `%2F` for `/` in the address; default `main`. */
  readonly revision: string;
  /** Path in the repository; undefined for its usual file of weights. */
  readonly file: string | undefined;
}

/** Returns whether a string is an address of a Hugging Face repository: `hf://owner/repo[@revision][/file]`. */
export function isHubAddress(source: string): boolean {
  return /^hf:\/\//i.test(source);
}

/**
 * Parses the address of a Hugging Face repository or one of its files.
 * @throws {UsageError} it is not `hf://owner/repo[@revision][/file]`.
 */
export function parseHubAddress(address: string): HubPlace {
  const parsed = /^hf:\/\/([\w.-]+\/[\w.-]+)(?:@([^/?#]+))?(?:\/([^?#]+))?$/i.exec(address);
  const [, repo = "", encoded = "main", file] = parsed ?? [];
  const revision = /^(%2F|[^%])+$/i.test(encoded) ? encoded.replaceAll(/%2F/gi, "/") : "";
  const parts = `${repo}/${revision}/${file ?? "file"}`.split("/");
  // The parts become names of folders and files in the cache.
  if (parsed && parts.every((part) => !/^\.*$|[\\:\0]/.test(part))) return { repo, revision, file };
  throw new UsageError({
    where: `address ${address}`,
    what: "this is not an address on Hugging Face",
    expected: "hf://owner/repo, hf://owner/repo@revision or hf://owner/repo/file",
  });
}

/** The address of a file in a repository. */
export function hubAddress({ repo, revision }: HubPlace, file: string): string {
  return `hf://${repo}@${revision.replaceAll("/", "%2F")}/${file}`;
}
