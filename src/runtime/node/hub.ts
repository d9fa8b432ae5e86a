import { copyFile, mkdir, readFile, realpath, rm, stat, symlink, writeFile } from "node:fs/promises";
import { homedir, tmpdir, userInfo } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { FileError, UsageError } from "../../base/errors.ts";
import { parseHubAddress } from "../../base/hub-address.ts";
import { type Checksum, checksumOf } from "./checksum.ts";
import { type DownloadOptions, download, withRetries } from "./download.ts";
import { DownloadFailure, type RemoteFile, request, statusFailure } from "./download-attempt.ts";
import { makeFolders } from "./files.ts";

/** Settings of the Hugging Face Hub. */
export interface HubSettings {
  /** URL of the hub or a mirror. */
  readonly endpoint: string;
  /** Cache folder in the layout of Python's huggingface_hub, which shares it. */
  readonly cacheFolder: string;
  readonly offline: boolean;
  /** Access token; sent only to the endpoint. */
  readonly token: string | undefined;
}

/** The folder in which programs of this user keep their caches. */
export function userCaches(): string {
  return join(homedir() || accountFolder(), ".cache");
}

/** The home folder of the account, where `HOME` is empty. */
function accountFolder(): string {
  try {
    return userInfo().homedir || tmpdir();
  } catch {
    // A container may run as a number without an account.
    return tmpdir();
  }
}

/** Reads `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`, `HF_HUB_OFFLINE` and `HF_TOKEN`, with the defaults of huggingface_hub. */
export function hubSettings(environment: Readonly<Record<string, string | undefined>>): HubSettings {
  const { HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, HF_TOKEN, XDG_CACHE_HOME } = environment;
  const home = HF_HOME || join(XDG_CACHE_HOME || userCaches(), "huggingface");
  return {
    endpoint: HF_ENDPOINT || "https://huggingface.co",
    cacheFolder: HF_HUB_CACHE || join(home, "hub"),
    offline: /^(1|on|yes|true)$/i.test(HF_HUB_OFFLINE ?? ""),
    token: HF_TOKEN || undefined,
  };
}

/** Options of downloads from the hub. */
export interface HubOptions extends Omit<DownloadOptions, "cacheFolder" | "checksum"> {
  readonly hub: HubSettings;
}

/**
 * Downloads a file of a repository, or finds it in the cache: a commit's without a request, a branch's if the server still
 * has the same version or cannot be reached.
 * @param address with the file: `hf://owner/repo@revision/file`.
 * @returns the path of the file.
 * @throws {FileError} the download failed.
 * @throws {AbortedError} the signal fired.
 */
export async function hubFile(address: string, options: HubOptions): Promise<string> {
  const { hub, refresh = false, offline = hub.offline } = options;
  const { repo, revision, file } = parseHubAddress(address);
  const folder = repoFolder(repo, hub);
  const known = await cachedHubFile(address, hub);
  const isUsable = known !== undefined && (await isWhole(known));
  if (isUsable && (offline || (!refresh && isCommit(revision)))) return known;
  if (offline) {
    const what = known === undefined ? "it is not in the cache, and downloads are switched off" : `${known} is damaged`;
    throw new FileError({ where: `download of ${address}`, what }, { isMissing: true });
  }
  let found: HubFile;
  try {
    found = await withRetries(() => locate(address, options), { ...options, cacheFolder: folder });
  } catch (error) {
    if (!(error instanceof DownloadFailure)) throw error;
    if (isUsable && error.status === undefined) return known;
    throw hubError(address, error);
  }
  const { commit, checksum, remote } = found;
  const blob = join(folder, "blobs", checksum.digest);
  await download(remote, { ...options, cacheFolder: folder, checksum }, blob);
  const snapshot = join(folder, "snapshots", commit, file!);
  await link(blob, snapshot);
  if (!isCommit(revision)) {
    const reference = join(folder, "refs", ...revision.split("/"));
    await mkdir(dirname(reference), { recursive: true });
    await writeFile(reference, commit);
  }
  return snapshot;
}

/** The path of a file of a repository in the cache; undefined if it is not there. */
export async function cachedHubFile(address: string, hub: HubSettings): Promise<string | undefined> {
  const { repo, revision, file } = parseHubAddress(address);
  const folder = repoFolder(repo, hub);
  const refs = join(folder, "refs", ...revision.split("/"));
  const commit = isCommit(revision) ? revision : await readFile(refs, "utf8").catch(() => undefined);
  if (commit === undefined || !isCommit(commit.trim())) return undefined;
  const path = join(folder, "snapshots", commit.trim(), file!);
  return (await stat(path).catch(() => undefined))?.isFile() ? path : undefined;
}

/** Removes a file from a cache, with the blob that it links to. */
export async function removeCached(path: string): Promise<void> {
  const blob = await realpath(path);
  await rm(path);
  if (blob !== path) await rm(blob, { force: true });
}

/** A file on the hub: its version, its checksum, and the place of its bytes. */
interface HubFile {
  readonly commit: string;
  readonly checksum: Checksum;
  readonly remote: RemoteFile;
}

/** Most redirects to follow; a renamed repository takes one. */
const mostRedirects = 5;

/** Asks the hub for a file. The endpoint describes it, and may redirect to another host for the bytes. */
async function locate(address: string, options: HubOptions): Promise<HubFile> {
  const { endpoint, token } = options.hub;
  const { repo, revision, file } = parseHubAddress(address);
  const path = [
    ...repo.split("/"),
    "resolve",
    encodeURIComponent(revision),
    ...file!.split("/").map(encodeURIComponent),
  ].join("/");
  const home = baseUrl(endpoint);
  let url = new URL(path, home);
  for (let redirects = 0; ; redirects++) {
    const headers = token !== undefined && url.origin === home.origin ? { authorization: `Bearer ${token}` } : {};
    const remote: RemoteFile = { url: url.href, headers, name: address };
    const response = await request(remote, { method: "HEAD", redirect: "manual" }, options, async (each) => each);
    const { status, headers: answer } = response;
    const location = answer.get("location");
    const isRedirect = status >= 300 && status < 400 && location !== null;
    if (!isRedirect && status !== 200) throw statusFailure(response);
    if (isRedirect) url = new URL(location, url);
    const checksum = checksumIn(answer.get("x-linked-etag") ?? (isRedirect ? null : answer.get("etag")));
    const commit = answer.get("x-repo-commit");
    if (checksum && commit !== null && isCommit(commit)) {
      const isSame = url.origin === home.origin;
      return { commit, checksum, remote: { ...remote, url: url.href, headers: isSame ? headers : {} } };
    }
    if (isRedirect && redirects < mostRedirects) continue;
    const what = isRedirect ? "there are too many redirects" : "the server does not report the file's hash and commit";
    throw new DownloadFailure(what, { transient: false });
  }
}

/** @throws {UsageError} the endpoint is not a URL. */
function baseUrl(endpoint: string): URL {
  if (/^https?:\/\/./i.test(endpoint) && URL.canParse(endpoint)) return new URL(endpoint.replace(/\/?$/, "/"));
  throw new UsageError({
    where: "address of the Hugging Face Hub (HF_ENDPOINT)",
    what: "this is not a URL",
    received: endpoint,
    expected: "http://… or https://…",
  });
}

/** The hub's ETags are hashes: SHA-256 for large files, git's for others. */
function checksumIn(etag: string | null): Checksum | undefined {
  const digest = /^(?:W\/)?"?([\da-f]{40}|[\da-f]{64})"?$/i.exec(etag ?? "")?.[1]?.toLowerCase();
  return digest === undefined ? undefined : { algorithm: digest.length === 64 ? "sha256" : "git", digest };
}

/** Returns whether a cached file has the hash that names its blob; files without one are not checked. */
async function isWhole(path: string): Promise<boolean> {
  const blob = await realpath(path);
  const checksum = checksumIn(basename(blob));
  return checksum === undefined || (await checksumOf(blob, checksum.algorithm)) === checksum.digest;
}

function hubError(address: string, { message, status, cause }: DownloadFailure): FileError {
  const remedy =
    status === 401 || status === 403
      ? "Check its name; private and gated repositories need an access token in HF_TOKEN."
      : status === 404
        ? "Check the names of the repository, the revision and the file."
        : undefined;
  const parts = { where: `download of ${address}`, what: message, ...(remedy && { remedy }), cause };
  return new FileError(parts, { isMissing: status === 404 });
}

function repoFolder(repo: string, { cacheFolder }: HubSettings): string {
  return join(cacheFolder, `models--${repo.replace("/", "--")}`);
}

function isCommit(revision: string): boolean {
  return /^[\da-f]{40}$/.test(revision);
}

/** Links a snapshot to its blob, relatively as huggingface_hub does; copies it where links are not allowed. */
async function link(blob: string, path: string): Promise<void> {
  if ((await realpath(path).catch(() => undefined)) === (await realpath(blob))) return;
  await makeFolders(dirname(path));
  await rm(path, { force: true });
  await symlink(relative(dirname(path), blob), path).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") await copyFile(blob, path);
  });
}
