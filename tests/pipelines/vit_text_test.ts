import assert from "node:assert/strict";
import { openTestGpu } from "../_gpu.ts";
import { Tensor } from "../../engine/tensor.ts";
import { padTokens, readPositions } from "../../pipelines/models/clip_text.ts";
import { loadVit } from "../../pipelines/models/model.ts";
import type { TextConfig } from "../../pipelines/models/vit_config.ts";
import { assertInputError } from "./io_fixtures.ts";
import { linearPair, normPair, type PlainModel, random, toStateDict } from "./vit_fixtures.ts";
import * as models from "./vit_models.ts";
import { assertTensor, runReference } from "./vit_oracle.ts";
import * as reference from "./vit_reference.ts";
import type { Rows } from "./vit_reference.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

/** Runs the reference's text tower: every block, the normed tokens, the embedding read at `position`. */
function textReference(
  model: PlainModel,
  ids: readonly number[],
  { heads, clip, position }: { heads: number; clip: boolean; position: number },
): { blocks: Rows[]; final: Rows; output: number[] } {
  const tower = clip
    ? { heads, eps: 1e-5, activation: "quickGelu" as const }
    : { heads, eps: 1e-6, activation: "geluTanh" as const };
  const [tokens, pos] = [
    reference.rowsOf(model["text.token"]),
    reference.rowsOf(model["text.pos"]),
  ];
  let x: Rows = ids.map((id, t) => tokens[id].map((v, i) => v + pos[t][i]));
  const blocks = [0, 1].map((i) => {
    const kind = { mode: clip ? "causal" : "qk" } as const;
    x = reference.block(model, { name: `text.blocks.${i}`, tower, kind }, x).stream;
    return x;
  });
  const final = reference.layerNorm(model, "text.post_norm", x, tower.eps);
  return {
    blocks,
    final,
    output: reference.linear(model, "text.projection", [final[position]])[0],
  };
}

// 49 is the largest id and ends a caption; what follows it must not matter
const captions = [[48, 3, 7, 49], [48, 11, 49, 0, 0, 0, 5], [48, 49]];
const ends = [3, 2, 1];

for (const layout of models.clip.layouts.filter(({ name }) => !name.includes("image tower"))) {
  Deno.test(`encodeText() of CLIP in the layout of ${layout.name} equals the float64 reference`, async () => {
    using model = await loadVit(gpu, toStateDict(layout.keys), layout.config);
    const want = captions.map((ids, i) =>
      textReference(models.clip.model, ids, { heads: 2, clip: true, position: ends[i] }).output
    );
    using got = model.encodeText(captions);
    assert.deepEqual(got.shape, [3, 12]);
    await assertTensor(got, want.flat(), layout.name);
  });
}

for (const layout of models.siglip.layouts.filter(({ name }) => !name.includes("image tower"))) {
  Deno.test(`encodeText() of SigLIP in the layout of ${layout.name} equals the float64 reference`, async () => {
    using model = await loadVit(gpu, toStateDict(layout.keys), layout.config);
    const padded = [[5, 9, 2, 1, 1, 1], [7, 1, 1, 1, 1, 1]]; // 1 fills the context of 6
    const want = padded.map((ids) =>
      textReference(models.siglip.model, ids, { heads: 3, clip: false, position: 5 }).output
    );
    using got = model.encodeText([[5, 9, 2], [7]]);
    await assertTensor(got, want.flat(), layout.name);
  });
}

Deno.test("forwardText() returns the activations that are asked for", async () => {
  const { keys, config } = models.clip.layouts[0];
  using model = await loadVit(gpu, toStateDict(keys), config);
  const ids = [48, 3, 49, 8, 8]; // captured rows keep what follows the end token
  const want = textReference(models.clip.model, ids, { heads: 2, clip: true, position: 2 });
  const names = ["text.blocks.0", "text.blocks.1", "text.final", "text.blocks.1.mlp"];
  const { output, captured } = model.forwardText([ids], { capture: names });
  await assertTensor(output, want.output, "output");
  await assertTensor(captured.get("text.blocks.0")!, want.blocks[0].flat(), "block 0");
  await assertTensor(captured.get("text.blocks.1")!, want.blocks[1].flat(), "block 1");
  await assertTensor(captured.get("text.final")!, want.final.flat(), "final");
  assert.deepEqual(captured.get("text.blocks.1.mlp")!.shape, [1, 5, 16]);
  for (const tensor of [output, ...captured.values()]) tensor.dispose();
});

Deno.test("readPositions() follows OpenAI's largest id or the configuration's end token", () => {
  const rows = [Int32Array.of(1, 9, 4, 9), Int32Array.of(9, 4, 2, 0)];
  assert.deepEqual(readPositions(rows, { pooling: "end" }), [1, 0]);
  assert.deepEqual(readPositions(rows, { pooling: "end", endToken: 4 }), [2, 1]);
  assert.deepEqual(readPositions(rows, { pooling: "last" }), [3, 3]);
  assertInputError(
    () => readPositions(rows, { pooling: "end", endToken: 1 }),
    /caption 1.*end token 1/,
  );
});

Deno.test("padTokens() fills the context where padding is read, with the tokenizer's own token", () => {
  const config = { context: 4, vocabulary: 10, causal: true, pooling: "end" } as TextConfig;
  const padded = (more: Partial<TextConfig>) =>
    padTokens([[5], [6, 7]], { ...config, ...more }).map((row) => [...row]);
  assert.deepEqual(padded({}), [[5, 0], [6, 7]]);
  assert.deepEqual(padded({ causal: false }), [[5, 0, 0, 0], [6, 7, 0, 0]]);
  assert.deepEqual(padded({ pooling: "last", padToken: 1 }), [[5, 1, 1, 1], [6, 7, 1, 1]]);
});

Deno.test("padTokens() refuses captions that the tower cannot take", () => {
  const config = { context: 3, vocabulary: 10, causal: true, pooling: "end" } as TextConfig;
  assertInputError(() => padTokens([], config), /no captions/);
  assertInputError(() => padTokens([[1], []], config), /caption 1.*1 to 3 tokens, got 0/);
  assertInputError(() => padTokens([[1, 2, 3, 4]], config), /1 to 3 tokens, got 4/);
  assertInputError(() => padTokens([[1, 10]], config), /from 0 to 9, got 10/);
  assertInputError(() => padTokens([[1.5]], config), /got 1\.5/);
});

const tokens = (tiny: models.TinyModel, image: Float64Array) =>
  runReference(tiny, image, { height: 8, width: 12 }).final;

function makeImage(): { image: Float64Array; pixels: Tensor } {
  const values = random([3 * 8 * 12], 0.2, 0.5).data;
  return { image: Float64Array.from(values), pixels: Tensor.from(gpu, values, [1, 3, 8, 12]) };
}

const gelu = (rows: Rows) =>
  rows.map((row) => row.map((x) => x / 2 * (1 + reference.erf(x / Math.SQRT2))));
const relu = (rows: Rows) => rows.map((row) => row.map((x) => Math.max(0, x)));

/** RADIO's second head: a residual block between two linear layers. */
const head2: PlainModel = {
  ...normPair("pre_norm.0", 24),
  ...linearPair("fc1", 20, 24),
  ...normPair("blocks.0.0", 20),
  ...linearPair("blocks.0.2", 20, 20),
  ...normPair("final.0", 20),
  ...linearPair("final.2", 14, 20),
};

function runHead2(x: Rows): Rows {
  const norm = (name: string, rows: Rows) => reference.layerNorm(head2, name, rows, 1e-5);
  const h = reference.linear(head2, "fc1", gelu(norm("pre_norm.0", x)));
  const inner = reference.linear(head2, "blocks.0.2", gelu(norm("blocks.0.0", h)));
  const sum = h.map((row, i) => row.map((v, j) => v + inner[i][j]));
  return reference.linear(head2, "final.2", gelu(norm("final.0", sum)));
}

/** RADIO's first head, with two inner layers. */
const head1: PlainModel = {
  ...linearPair("fc1", 20, 24),
  ...normPair("norm", 20),
  ...linearPair("inner.0", 20, 20),
  ...normPair("inner.1", 20),
  ...linearPair("inner.3", 20, 20),
  ...normPair("inner.4", 20),
  ...linearPair("fc2", 14, 20),
};

function runHead1(x: Rows): Rows {
  const norm = (name: string, rows: Rows) => reference.layerNorm(head1, name, rows, 1e-5);
  const h = relu(norm("norm", reference.linear(head1, "fc1", x)));
  const first = relu(norm("inner.1", reference.linear(head1, "inner.0", h)));
  const second = relu(norm("inner.4", reference.linear(head1, "inner.3", first)));
  return reference.linear(head1, "fc2", second);
}

const heads = [
  { root: "radio_model.adaptors.siglip.head_mlp.", head: head2, run: runHead2 },
  { root: "_heads.siglip.", head: head1, run: runHead1 },
];

for (const { root, head, run } of heads) {
  Deno.test(`forward() of RADIO reads its own class token and the patches through ${root}`, async () => {
    const { keys, config } = models.radio.layouts[0];
    const all = {
      ...keys,
      ...models.prefixed(root, head),
      "radio_model.adaptors.siglip.feat_mlp.fc1.weight": random([2, 2]),
      "_feature_projections.siglip.fc1.weight": random([2, 2]),
      ...models.prefixed("_heads.clip.", head1),
    };
    const { image, pixels: made } = makeImage();
    using pixels = made;
    const final = tokens(models.radio, image);
    using model = await loadVit(gpu, toStateDict(all), config);
    assert.equal(model.outputWidth, 14);
    const capture = ["summary", "projected", "dense"];
    const { output, captured } = model.forward(pixels, { capture });
    await assertTensor(output, run([final[1]])[0], "SigLIP is the second teacher");
    await assertTensor(captured.get("summary")!, [...final[0], ...final[2]], "summary");
    await assertTensor(captured.get("projected")!, run(final.slice(5)).flat(), "projected");
    assert.deepEqual(captured.get("dense")!.shape, [1, 2, 3, 14]);
    for (const tensor of [output, ...captured.values()]) tensor.dispose();
    using without = await loadVit(gpu, toStateDict(all), { ...config, adaptor: false });
    using summary = without.forward(pixels).output;
    await assertTensor(summary, [...final[0], ...final[2]], "no adaptor");
  });
}

Deno.test("forward() of SigLIP gives a patch what the pooling gives when all its attention is there", async () => {
  const tiny = models.siglip;
  const { keys, config } = tiny.layouts[0];
  using model = await loadVit(gpu, toStateDict(keys), config);
  const { image, pixels: made } = makeImage();
  using pixels = made;
  const final = tokens(tiny, image);
  const { output, captured } = model.forward(pixels, { capture: ["projected", "dense"] });
  const tower = { heads: 3, eps: 1e-6, activation: "geluTanh" } as const;
  const want = final.flatMap((row) => reference.attentionPool(tiny.model, [row], tower));
  await assertTensor(captured.get("projected")!, want, "projected");
  await assertTensor(captured.get("dense")!, want, "dense");
  for (const tensor of [output, ...captured.values()]) tensor.dispose();
});

Deno.test("forward() of SigLIP without its pooling head takes the mean, in the layouts that have it so", async () => {
  const { image, pixels: made } = makeImage();
  using pixels = made;
  const final = tokens(models.siglip, image);
  const average = Array.from(
    final[0],
    (_, i) => final.reduce((sum, row) => sum + row[i], 0) / final.length,
  );
  for (const { keys, config } of [models.siglip.layouts[0], models.siglip.layouts[2]]) {
    const beyond = /^text_model|^logit|\bhead\.|attn_pool/;
    const kept = Object.entries(keys).filter(([name]) => !beyond.test(name));
    using model = await loadVit(gpu, toStateDict(Object.fromEntries(kept)), config);
    assert.equal(model.family, "siglip");
    const { output, captured } = model.forward(pixels, { capture: ["projected"] });
    await assertTensor(output, average, "mean");
    await assertTensor(captured.get("projected")!, final.flatMap((row) => [...row]), "projected");
    for (const tensor of [output, ...captured.values()]) tensor.dispose();
  }
});

Deno.test("loadVit() refuses a RADIO adaptor that is not there or not whole", async () => {
  const { keys, config } = models.radio.layouts[0];
  const load = (more: PlainModel, said: Record<string, unknown>) =>
    loadVit(gpu, toStateDict({ ...keys, ...more }), { ...config, ...said });
  await assert.rejects(load({}, { adaptor: "siglip" }), /adaptor "siglip".*has none/);
  await assert.rejects(load({}, { summaryTokens: [5] }), /class token 5.*5 prefix tokens/);
  const part = { "_heads.siglip.fc1.weight": random([20, 24]) };
  await assert.rejects(
    load(part, {}),
    /missing .*"fc2\.weight".*found "_heads\.siglip\.fc1\.weight"/,
  );
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
