/** How many cases a property of a reader is tried with; `XCEPTION_FUZZ_CASES` raises it for a long run. */
export const fuzzRuns = { numRuns: Number(process.env.XCEPTION_FUZZ_CASES ?? 200) } as const;
