/** Everything of the package, with what needs Node: files, pictures and the engine. */
export * from "./index.ts";
export { listFolder } from "./runtime/node-folders.ts";
export { decodeImage, encodePng } from "./runtime/node-images.ts";
