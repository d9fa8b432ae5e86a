type H5wasm = typeof import("h5wasm");

/** The HDF5 library, compiled to WebAssembly, in an instance of its own. */
export interface Hdf5Engine {
  readonly h5wasm: H5wasm;
  readonly files: Awaited<H5wasm["ready"]>["FS"];
}

let current: Promise<Hdf5Engine> | undefined;
let instances = 0;

/** The library, loaded when it is first needed: it is four megabytes of program. */
export function hdf5Engine(): Promise<Hdf5Engine> {
  current ??= start(instances++);
  return current;
}

/**
 * Has the next file read by a new instance, if this error came from the memory of the current one. A damaged file can make
 * the library overwrite its memory, after which it would refuse sound files too.
 */
export function renewAfter(error: unknown): void {
  if (error instanceof Error && error.name === "RuntimeError") current = undefined;
}

async function start(instance: number): Promise<Hdf5Engine> {
  // Modules are loaded once for each address. Only the wrapper is loaded anew; the program itself stays in memory.
  const h5wasm: H5wasm =
    instance === 0 ? await import("h5wasm") : await import(`${import.meta.resolve("h5wasm")}?instance=${instance}`);
  const engine = await h5wasm.ready;
  // It would print its errors, and go on with an invalid handle.
  engine.activate_throwing_error_handler();
  return { h5wasm, files: engine.FS };
}
