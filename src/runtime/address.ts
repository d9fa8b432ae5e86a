import { UsageError } from "../base/errors.ts";

/** A URL, and the checksum of its file. */
export interface CheckedAddress {
  /** Without its fragment. */
  readonly url: string;
  readonly checksum: { readonly algorithm: "md5" | "sha256"; readonly digest: string } | undefined;
}

/**
 * Reads a URL with an optional checksum, `#md5=…` or `#sha256=…`.
 * @throws {UsageError} it is not an `http:` or `https:` URL, or its checksum is none.
 */
export function parseAddress(source: string): CheckedAddress {
  const where = `address ${source}`;
  if (!URL.canParse(source)) throw new UsageError({ where, what: "this is not a URL" });
  const url = new URL(source);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new UsageError({ where, what: "it cannot be read", received: url.protocol, expected: "http: or https:" });
  }
  const { hash } = url;
  url.hash = "";
  const [, algorithm, digest] = /^#(md5|sha256)=([\da-f]*)$/i.exec(hash) ?? [];
  if (algorithm === undefined && !/^#(md5|sha256)/i.test(hash)) return { url: url.href, checksum: undefined };
  const name = /^#md5/i.test(hash) ? "md5" : "sha256";
  const digits = name === "md5" ? 32 : 64;
  if (digest?.length === digits) return { url: url.href, checksum: { algorithm: name, digest: digest.toLowerCase() } };
  const what = `this is not ${name === "md5" ? "an MD5" : "a SHA-256"}`;
  throw new UsageError({ where, what, received: hash, expected: `#${name}= and ${digits} digits` });
}
