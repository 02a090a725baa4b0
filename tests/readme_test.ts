/**
 * The README says what is true: its kernel table is the specs', its numbers' marks are there.
 */
import assert from "node:assert/strict";
import { resultsSection, statedSummary } from "../bench/study_tables.ts";
import { kernels } from "../shaders/mod.ts";

const readme = await Deno.readTextFile(new URL("../README.md", import.meta.url));

Deno.test("the README's kernel table names every kernel", () => {
  const table = readme.slice(readme.indexOf("<!-- kernels"), readme.indexOf("<!-- /kernels"));
  const missing = kernels.map((k) => k.name).filter((name) => !table.includes(`\`${name}\``));
  assert.deepEqual(missing, [], "run `deno task readme`");
});

Deno.test("the README's results on the phantom are those of the summary", async () => {
  const section = resultsSection(await statedSummary());
  // deno fmt wraps prose and aligns tables: words in their order are what counts.
  const words = (text: string) =>
    text.split(/[\s|]+/).filter((word) => !/^-*$/.test(word)).join(" ");
  assert.ok(words(readme).includes(words(section)), "run `deno task results`");
});
