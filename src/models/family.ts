import type { Network } from "../graph/network.ts";
import type { Preprocessing } from "../graph/preprocessing.ts";
import type { OptionsOf, OptionTable, OwnedOptions } from "./options.ts";
import type { TimmWeights } from "./timm-entries.ts";

/** A family of networks: all that the rest of the program knows about it. */
export interface Family<
  Key extends string = string,
  Table extends OptionTable = OptionTable,
  Name extends string = string,
> {
  /** Its name in model files. */
  readonly family: Key;
  readonly options: OwnedOptions<Table>;
  /** The names of its networks and the options that they stand for; of two that fit, the later one. */
  readonly names: Readonly<Record<Name, OptionsOf<Table>>>;
  /** @throws {UsageError} an option is invalid. */
  build(options: OptionsOf<Table>): Network;
  /** Preprocessing of its published weights. */
  readonly preprocessing: Preprocessing;
  /** Weights that the authors of the family published. */
  readonly published?: PublishedWeights;
  /** Returns options of which one builds a network with the same layers, if any do. */
  candidates?(network: Network): readonly OptionsOf<Table>[];
  /** Its feature stages that are not the last feature map of a stride: names of layers. */
  stages?(network: Network): readonly string[];
  /** How timm stores its weights. */
  readonly timm?: TimmWeights<NoInfer<Name>>;
}

/** Weights trained on ImageNet, and where they are. */
export interface PublishedWeights {
  /** Address of the folder. */
  readonly folder: string;
  /** Files in it with their MD5: with the classifier of 1000 classes, and without. */
  readonly withTop: PublishedFile;
  readonly withoutTop: PublishedFile;
  readonly license: string;
  /** Provenance of the weights, in words. */
  readonly origin: string;
}

/** A published file and its checksum. */
export interface PublishedFile {
  readonly name: string;
  readonly md5: string;
}

/** A family, its types inferred from its options and names. */
export function defineFamily<const Key extends string, Table extends OptionTable, Name extends string>(
  family: Family<Key, Table, Name>,
): Family<Key, Table, Name> {
  return family;
}
