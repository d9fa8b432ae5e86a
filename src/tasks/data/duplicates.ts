import type { DuplicateGroup, DuplicateKind } from "../../report/data.ts";
import { correlation, type Fingerprint, similarPairs } from "./fingerprint.ts";

/** An image that could be decoded. */
export interface ComparedImage {
  readonly file: string;
  /** SHA-256 of the file, and of its size and pixels. */
  readonly bytes: string;
  readonly pixels: string;
  readonly fingerprint: Fingerprint;
}

/** Most bits in which the hashes of copies differ: those of unrelated images differ in 32 on average. */
const mostBits = 14;
/** Least correlation of the thumbnails of copies. */
const leastCorrelation = 0.985;

/** From the strictest: a group is as similar as its least similar link. */
const kinds = ["bytes", "pixels", "near", "mirrored"] as const satisfies readonly DuplicateKind[];

/**
 * Finds groups of images that are copies of each other: the same bytes, the same pixels, nearly the same image, or its mirror
 * image. Compares each with each: 100,000 images take about a minute.
 */
export function findDuplicates(images: readonly ComparedImage[]): readonly DuplicateGroup[] {
  const groups = new Groups(images.length);
  joinEqual(images, groups, "bytes");
  joinEqual(images, groups, "pixels");
  joinSimilar(images, groups);
  return groups
    .list()
    .map(({ members, kind }) => ({ kind: kinds[kind]!, files: members.map((at) => images[at]!.file) }));
}

function joinEqual(images: readonly ComparedImage[], groups: Groups, kind: "bytes" | "pixels"): void {
  const first = new Map<string, number>();
  for (const [index, { [kind]: digest }] of images.entries()) {
    const known = first.get(digest);
    if (known === undefined) first.set(digest, index);
    else groups.join(known, index, kinds.indexOf(kind));
  }
}

function joinSimilar(images: readonly ComparedImage[], groups: Groups): void {
  const hashes = images.map(({ fingerprint }) => fingerprint.hash);
  for (const [a, b, isMirrored] of similarPairs(hashes, mostBits)) {
    const thumbnails = [images[a]!.fingerprint.thumbnail, images[b]!.fingerprint.thumbnail] as const;
    if (correlation(...thumbnails, isMirrored) < leastCorrelation) continue;
    groups.join(a, b, kinds.indexOf(isMirrored ? "mirrored" : "near"));
  }
}

/** Disjoint sets, each with the least similar kind of its links. */
class Groups {
  readonly #parents: number[];
  readonly #kinds = new Map<number, number>();

  constructor(count: number) {
    this.#parents = Array.from({ length: count }, (_, index) => index);
  }

  join(a: number, b: number, kind: number): void {
    const [rootA, rootB] = [this.#rootOf(a), this.#rootOf(b)];
    // A similar pair that is connected already adds nothing.
    if (rootA === rootB) return;
    const [root, other] = rootA < rootB ? [rootA, rootB] : [rootB, rootA];
    this.#parents[other] = root;
    this.#kinds.set(root, Math.max(kind, this.#kinds.get(root) ?? 0, this.#kinds.get(other) ?? 0));
  }

  list(): { readonly members: readonly number[]; readonly kind: number }[] {
    const members = new Map<number, number[]>();
    for (const index of this.#parents.keys()) {
      const root = this.#rootOf(index);
      if (this.#kinds.has(root)) members.set(root, [...(members.get(root) ?? []), index]);
    }
    return [...members].map(([root, list]) => ({ members: list, kind: this.#kinds.get(root)! }));
  }

  #rootOf(index: number): number {
    let root = index;
    while (this.#parents[root] !== root) root = this.#parents[root]!;
    this.#parents[index] = root;
    return root;
  }
}
