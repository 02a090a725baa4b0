export type Dawn = { readonly env: Readonly<Record<string, string>> } | {
  readonly skipped: string;
};

export function findDawn(): Promise<Dawn> {
  return Promise.resolve({ skipped: "the engine does not open it yet" });
}
