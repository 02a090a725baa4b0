/**
 * Captions of a study through a backbone's text tower.
 *
 * @module
 */
import type { CaptionCategory } from "../dense/caption_categories.ts";
import { hostMatrix } from "../encoding/host_matrix.ts";
import type { Backbone } from "./backbone.ts";
import type { EmbeddedCaptions } from "./map_pass.ts";

/** Captions that a text tower embeds at once. */
const CAPTIONS_AT_ONCE = 32;

/** The captions' embeddings; undefined without captions, text tower or tokenizer. */
export async function embedCaptions(
  { model: own, textModel: model = own, tokenizer }: Backbone,
  categories: readonly CaptionCategory[] | undefined,
): Promise<EmbeddedCaptions | undefined> {
  if (!categories || !tokenizer || !model.textConfig) return undefined;
  const { context: contextLength } = model.textConfig;
  const lines = categories.flatMap(({ captions }) => captions);
  const rows: Float32Array[] = [];
  for (let start = 0; start < lines.length; start += CAPTIONS_AT_ONCE) {
    const some = lines.slice(start, start + CAPTIONS_AT_ONCE);
    using embedded = model.encodeText(
      some.map((line) => tokenizer.encode(line, { contextLength })),
    );
    rows.push(await embedded.data() as Float32Array);
  }
  const m = rows[0].length / Math.min(CAPTIONS_AT_ONCE, lines.length);
  const data = new Float32Array(lines.length * m);
  rows.forEach((part, i) => data.set(part, i * CAPTIONS_AT_ONCE * m));
  return { categories, embeddings: hostMatrix(data, [lines.length, m]) };
}
