import type { Network } from "../graph/network.ts";
import type { Preprocessing } from "../graph/preprocessing.ts";
import type { OptionsOf, OptionTable, OwnedOptions } from "./options.ts";
import type { TimmWeights } from "./timm-entries.ts";

/** A family of networks: its record, from which the rest of the program derives. */
export interface Family<
  Key extends string = string,
  Table extends OptionTable = OptionTable,
  Name extends string = string,
> {
  /** Its name in model files. */
  readonly family: Key;
  readonly options: OwnedOptions<Table>;
  /** The names of its networks and the options that they imply; if two fit a network, the later one is used. */
  readonly names: Readonly<Record<Name, OptionsOf<Table>>>;
  /** @throws {UsageError} an option is invalid. */
  build(options: OptionsOf<Table>): Network;
  /** Preprocessing of its published weights. */
  readonly preprocessing: Preprocessing;
  /** Weights that the authors of the family published. */
  readonly published?: PublishedWeights;
  /** Repositories on Hugging Face with weights of its networks, and their licenses: `timm/NAME.TAG`. */
  readonly hub?: Readonly<Record<`timm/${NoInfer<Name>}.${string}`, string>>;
  /** Guesses the options of a network with unknown layer names; the caller builds each and compares. */
  candidates?(network: Network): readonly OptionsOf<Table>[];
  /** Names of the layers of feature stages that are not the last feature map of a stride. */
  stages?(network: Network): readonly string[];
  /** Names of its weights in timm. */
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

/** Defines a family; the types are inferred from its options and names. */
export function defineFamily<const Key extends string, Table extends OptionTable, Name extends string>(
  family: Family<Key, Table, Name>,
): Family<Key, Table, Name> {
  return family;
}
