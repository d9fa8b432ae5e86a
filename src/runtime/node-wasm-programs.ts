/** TypeScript has no types of WebAssembly outside of browsers. */
interface WasmFunctions {
  instantiate(source: unknown, imports: unknown): Promise<{ readonly module?: object }>;
}

const { WebAssembly: functions } = globalThis as unknown as { WebAssembly: WasmFunctions };

/** The programs in WebAssembly that this thread compiles from now on; the list grows. */
export function compiledPrograms(): readonly object[] {
  const programs: object[] = [];
  const { instantiate } = functions;
  functions.instantiate = async (source, imports) => {
    const result = await instantiate(source, imports);
    if (result.module) programs.push(result.module);
    return result;
  };
  return programs;
}
