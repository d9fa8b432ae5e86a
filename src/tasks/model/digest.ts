import { type Network, networkWeights } from "../../graph/network.ts";
import type { Preprocessing } from "../../graph/preprocessing.ts";
import type { Weights } from "../../weights/initialize.ts";

/** SHA-256 of numbers as they stand in memory, or of a text in UTF-8, as 64 hexadecimal digits. */
export async function sha256(content: Uint8Array | Int32Array | Float32Array | string): Promise<string> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const digest = await crypto.subtle.digest("SHA-256", bytes as ArrayBufferView<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** SHA-256 of all that a network's answers depend on: its layers, their weights and how images become numbers. */
export async function modelDigest(network: Network, weights: Weights, preprocessing: Preprocessing): Promise<string> {
  const digests = await Promise.all(networkWeights(network).map(({ name }) => sha256(weights.get(name)!.data)));
  const layers = network.layers.map(({ config, inbound }) => [config, inbound]);
  return sha256(JSON.stringify([layers, digests, sorted(preprocessing)]));
}

/** Equal settings are equal texts. */
function sorted(settings: object): [string, unknown][] {
  return Object.entries(settings)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
