import assert from "node:assert/strict";
import { CLIP_MERGES } from "../../pipelines/models/bpe_files.ts";
import {
  byteTokens,
  ClipTokenizer,
  END_OF_TEXT,
  START_OF_TEXT,
} from "../../pipelines/models/clip_bpe.ts";
import { cleanCaption } from "../../pipelines/models/clip_text_clean.ts";
import { loadTokenizer } from "../../pipelines/models/tokenizer.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";

interface GoldenCaption {
  readonly text: string;
  readonly encode: readonly number[];
  /** `clip.tokenize(text, truncate=True)` without the zeros at its end. */
  readonly tokens77: readonly number[];
  readonly decode: string;
}

const golden: {
  /** Line number, counted from 0, and merge: those lines of CLIP's file that the captions apply. */
  readonly merges: readonly (readonly [number, string])[];
  readonly items: readonly GoldenCaption[];
} = JSON.parse(
  Deno.readTextFileSync(new URL("../golden/clip_bpe.json", import.meta.url)),
);

/**
 * The text of OpenAI's file with the golden captions' merges on their own lines, so that ids are the real ones, and
 * on every other line a merge of symbols that no text has. A merge that is never applied changes no result.
 */
function openAiText(nMerges = CLIP_MERGES): string {
  const lines = Array.from({ length: nMerges }, (_, i) => `no${i} ne${i}`);
  for (const [line, merge] of golden.merges) lines[line] = merge;
  return ['"bpe_simple_vocab_16e6.txt#version: 0.2', ...lines.slice(0, nMerges), "after the", ""]
    .join("\n");
}

/** The same vocabulary with the golden captions' tokens only, under their real ids. */
function smallVocabulary(): { vocab: Record<string, number>; merges: string[] } {
  const vocab: Record<string, number> = {};
  for (const [i, token] of byteTokens.entries()) vocab[token] = i;
  for (const [line, merge] of golden.merges) vocab[merge.replace(" ", "")] = 512 + line;
  vocab[START_OF_TEXT] = 49406;
  vocab[END_OF_TEXT] = 49407;
  return { vocab, merges: golden.merges.map(([, merge]) => merge) };
}

function tokenizerJson(): Record<string, unknown> & { model: Record<string, unknown> } {
  const { vocab, merges } = smallVocabulary();
  const { [START_OF_TEXT]: start, [END_OF_TEXT]: end, ...rest } = vocab;
  return {
    added_tokens: [{ id: start, content: START_OF_TEXT }, { id: end, content: END_OF_TEXT }],
    model: { type: "BPE", end_of_word_suffix: "</w>", vocab: rest, merges },
  };
}

async function gzip(text: string): Promise<Uint8Array> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function writePair(folder: TestFolder): void {
  const { vocab, merges } = smallVocabulary();
  folder.write("vocab.json", JSON.stringify(vocab));
  folder.write("merges.txt", `#version: 0.2\n${merges.join("\n")}\n`);
}

function assertGolden(tokenizer: ClipTokenizer, what: string): void {
  for (const { text, encode, tokens77, decode } of golden.items) {
    assert.deepEqual(tokenizer.tokenize(text), encode, `${what}: ${text}`);
    const padded = [...tokens77, ...new Array(77 - tokens77.length).fill(0)];
    assert.deepEqual([...tokenizer.encode(text, { overflow: "truncate" })], padded, text);
    assert.equal(tokenizer.decode(encode), decode);
  }
}

async function rejectsInput(promise: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(promise, (error: unknown) => {
    assertInputError(() => {
      throw error;
    }, message);
    return true;
  });
}

Deno.test("loadTokenizer() gives CLIP's ids when the file is OpenAI's, gzipped or not", async () => {
  using folder = new TestFolder();
  const text = openAiText();
  const packed = folder.write("bpe_simple_vocab_16e6.txt.gz", await gzip(text));
  const tokenizer = await loadTokenizer(packed);
  assert.equal(tokenizer.vocabSize, 49408);
  assert.deepEqual([tokenizer.startOfText, tokenizer.endOfText], [49406, 49407]);
  assertGolden(tokenizer, "gz");
  assertGolden(await loadTokenizer(folder.path), "folder");
  assertGolden(await loadTokenizer(folder.write("renamed.bpe", text)), "plain, another name");
});

Deno.test("loadTokenizer() gives CLIP's ids when the files are of transformers", async () => {
  using folder = new TestFolder();
  writePair(folder);
  for (const path of [folder.path, `${folder.path}/`, folder.at("vocab.json")]) {
    assertGolden(await loadTokenizer(path), path);
  }
  assertGolden(await loadTokenizer(folder.at("merges.txt")), "merges.txt");
});

Deno.test("loadTokenizer() gives CLIP's ids when the file is tokenizer.json, merges as text or pairs", async () => {
  using folder = new TestFolder();
  const json = tokenizerJson();
  assertGolden(await loadTokenizer(folder.write("tokenizer.json", JSON.stringify(json))), "text");
  json.model.merges = golden.merges.map(([, merge]) => merge.split(" "));
  folder.write("tokenizer.json", JSON.stringify(json));
  assertGolden(await loadTokenizer(folder.path), "pairs");
});

Deno.test("loadTokenizer() takes vocab.json for a vocabulary when it holds a token named model", async () => {
  using folder = new TestFolder();
  writePair(folder);
  const { vocab } = smallVocabulary();
  folder.write("vocab.json", JSON.stringify({ ...vocab, model: 4591 }));
  assert.equal((await loadTokenizer(folder.at("vocab.json"))).vocabSize, 49408);
});

Deno.test("loadTokenizer() says what is wrong when OpenAI's file is damaged", async () => {
  using folder = new TestFolder();
  const packed = await gzip(openAiText());
  const load = (data: Uint8Array | string) => loadTokenizer(folder.write("bpe", data));
  await rejectsInput(load(packed.subarray(0, packed.length >> 1)), /not a whole gzip file/);
  await rejectsInput(load(openAiText(100)), /cut short: .* needs 48894 merges, it holds 101/);
  await rejectsInput(load("bpe_simple_vocab#version: 0\na b c\n"), /line 2 is "a b c"/);
  await rejectsInput(load(Uint8Array.of(0xff, 0xfe, 0)), /none of CLIP's tokenizer files/);
  await rejectsInput(load(""), /none of CLIP's tokenizer files/);
});

Deno.test("loadTokenizer() says what is missing when a file is not there", async () => {
  using folder = new TestFolder();
  await rejectsInput(loadTokenizer(folder.path), /must hold one of tokenizer.json/);
  await rejectsInput(loadTokenizer(folder.at("nowhere")), /there is no such file/);
  writePair(folder);
  Deno.removeSync(folder.at("merges.txt"));
  await rejectsInput(loadTokenizer(folder.path), /vocab.json" needs .*merges.txt" beside it/);
});

Deno.test("loadTokenizer() refuses tokenizer.json of another kind of tokenizer", async () => {
  using folder = new TestFolder();
  const path = folder.at("tokenizer.json");
  const load = (change: (json: ReturnType<typeof tokenizerJson>) => void) => {
    const json = tokenizerJson();
    change(json);
    Deno.writeTextFileSync(path, JSON.stringify(json));
    return loadTokenizer(path);
  };
  await rejectsInput(load((json) => json.model.type = "Unigram"), /must be BPE, got "Unigram"/);
  await rejectsInput(load((json) => delete json.model.end_of_word_suffix), /"<\/w>", got null/);
  await rejectsInput(load((json) => json.model.vocab = []), /lacks a vocabulary/);
  await rejectsInput(load((json) => json.model.merges = [["a"]]), /not two symbols: \["a"\]/);
  await rejectsInput(load((json) => json.added_tokens = [{}]), /without content and id/);
  await rejectsInput(load((json) => delete json.added_tokens), /holds "<\|startoftext\|>"/);
});

Deno.test("ClipTokenizer refuses vocabularies that cannot be CLIP's", () => {
  const { vocab, merges } = smallVocabulary();
  const make = (ids: Record<string, number>, list: readonly string[] = merges) => () =>
    new ClipTokenizer({ ids: new Map(Object.entries(ids)), merges: list });
  make(vocab)();
  const { "Ā": _, ...lacking } = vocab;
  assertInputError(make(lacking), /holds "Ā", this one does not/);
  assertInputError(make({ ...vocab, x1: 0 }), /different whole numbers from 0, got 0 for "x1"/);
  assertInputError(make({ ...vocab, x1: 1.5 }), /got 1.5/);
  assertInputError(make({ ...vocab, x1: -1 }), /got -1/);
  assertInputError(make(vocab, ["q q q"]), /merge 1 must be two symbols/);
  assertInputError(make(vocab, ["q qqq"]), /make a token of the vocabulary, got "q qqq"/);
});

Deno.test("ClipTokenizer.encode() pads, cuts and refuses as asked", () => {
  const { vocab, merges } = smallVocabulary();
  const tokenizer = new ClipTokenizer({ ids: new Map(Object.entries(vocab)), merges });
  const [a, face] = tokenizer.tokenize("a face");
  const [sot, eot] = [49406, 49407];
  const encode = (options: Parameters<ClipTokenizer["encode"]>[1]) => [
    ...tokenizer.encode("a face", options),
  ];
  assert.deepEqual(encode({ contextLength: 6 }), [sot, a, face, eot, 0, 0]);
  assert.deepEqual(encode({ contextLength: 6, padding: "endOfText" }), [
    sot,
    a,
    face,
    eot,
    eot,
    eot,
  ]);
  assert.deepEqual(encode({ contextLength: 4 }), [sot, a, face, eot]);
  assert.deepEqual(encode({ contextLength: 3, overflow: "truncate" }), [sot, a, eot]);
  assertInputError(() => encode({ contextLength: 3 }), /may have 1 tokens, has 2: "a face"/);
  assertInputError(() => tokenizer.decode([49408]), /got 49408/);
});

Deno.test("cleanCaption() does what ftfy and CLIP do to characters, escapes and spaces", () => {
  assert.equal(cleanCaption("the dog’s “ball”"), 'the dog\'s "ball"');
  assert.equal(cleanCaption("&amp;lt;B&amp;gt; &eacute;&#39;&#x41;&AMP"), "<b> é'a&");
  assert.equal(cleanCaption("&amp;amp;lt;"), "<"); // ftfy goes on until nothing changes
  assert.equal(cleanCaption("x < y &amp;amp;amp;lt;"), "x < y &amp;lt;"); // it may be HTML: twice
  assert.equal(cleanCaption("it&rsquo;s &ldquo;x&rdquo;"), 'it\'s "x"');
  assert.equal(cleanCaption("<b>it&rsquo;s\nit&rsquo;s"), "<b>it’s it’s");
  assert.equal(cleanCaption("a&ldquo;\n<"), 'a" <');
  assert.equal(cleanCaption("&CCEDIL;a &NTILDE; &Lt; &GT; &notit;"), "ça ñ ≪ > ¬it;");
  assert.equal(cleanCaption("\u0091x\u0092 \u001b[31;1mred\u001b[0m"), "'x' red");
  assert.equal(cleanCaption("ﬅ"), "ſt");
  assert.equal(cleanCaption("\u0085 a\u00a0\u2003 b\r\n\u0007c\ufeff "), "… a b c"); // U+0085 as Windows-1252
  assert.equal(cleanCaption("ﬁne ＡＢ Cafe\u0301"), "fine ab café");
  assert.equal(cleanCaption("x² ½ µm"), "x² ½ µm"); // compatibility forms that ftfy leaves alone
});
