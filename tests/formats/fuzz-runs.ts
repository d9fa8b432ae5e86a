/** How many cases a property of a reader is tried with; `npm run fuzz` tries more of damaged files. */
export const fuzzRuns = { numRuns: 200 } as const;
