import type { PackedError } from "../../error-transfer.ts";

/** Messages of the page to the worker. */
export type ToWorker =
  /** The first message: options of the platform. */
  | { readonly kind: "start"; readonly options: object }
  /** Calls a method of an object; object 0 has the verbs. */
  | {
      readonly kind: "call";
      readonly id: number;
      readonly object: number;
      readonly method: string;
      readonly args: readonly unknown[];
    }
  | { readonly kind: "abort"; readonly signal: number }
  | Reply;

/** Messages of the worker to the page. */
export type ToPage =
  | { readonly kind: "callback"; readonly id: number; readonly callback: number; readonly args: readonly unknown[] }
  /** Fields of an object have other values. */
  | { readonly kind: "change"; readonly object: number; readonly fields: Readonly<Record<string, unknown>> }
  | Reply;

/** The result of a call or a callback. */
export type Reply = {
  readonly kind: "answer";
  readonly id: number;
  readonly value?: unknown;
  readonly error?: PackedError;
};

/** One end of the channel between page and worker: a `Worker`, its global scope, or a `MessagePort`. */
export interface Channel {
  postMessage(message: unknown, transfer: Transferable[]): void;
  addEventListener(kind: "message", listener: (event: MessageEvent) => void): void;
}
