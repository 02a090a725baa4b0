import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import {
  readTokens,
  type SliceReader,
  TokenCache,
} from "../../pipelines/encoding/alignment/token_cache.ts";
import { gridTokens } from "../../pipelines/encoding/alignment/tokens.ts";
import { SlotFile } from "../../pipelines/encoding/alignment/slot_file.ts";
import { InputError } from "../../pipelines/errors.ts";
import { TestFolder } from "./io_fixtures.ts";

const N = 20;

/** Random tokens of a layer with a prefix and a grid, and how often rows were read. */
function reader(
  model: string,
  grid: readonly [number, number],
  prefixTokens: number,
  width: number,
) {
  const size = (prefixTokens + grid[0] * grid[1]) * width;
  const tokens = normal(randomKey(width), N * size);
  const slice: SliceReader & { reads: number } = {
    ...{ model, layer: "0", width, grid, prefixTokens, nImages: N, facts: [model, 1], reads: 0 },
    readRows(start, end) {
      this.reads++;
      return tokens.slice(start * size, end * size);
    },
  };
  return { slice, tokens };
}

Deno.test("gridTokens() copies a grid that fits, and halves a larger one by means of four", () => {
  const same = normal(randomKey(1), 2 * 65 * 3);
  assert.deepEqual(gridTokens(same, { prefixTokens: 1, grid: [8, 8], width: 3 }, 8), same);
  // Class token, three registers, 4 × 4 patches of one channel with the values of their places.
  const large = Float32Array.from([7, 100, 101, 102, ...Array.from({ length: 16 }, (_, i) => i)]);
  const layout = { prefixTokens: 4, grid: [4, 4], width: 1 } as const;
  assert.deepEqual([...gridTokens(large, layout, 2)], [7, 2.5, 4.5, 10.5, 12.5]);
  // Without a class token the mean of the patches stands in.
  const bare = gridTokens(large.subarray(4), { ...layout, prefixTokens: 0 }, 2);
  assert.deepEqual([...bare], [7.5, 2.5, 4.5, 10.5, 12.5]);
  assert.throws(() => gridTokens(large.subarray(1), layout, 2), InputError);
});

Deno.test("TokenCache gives the tokens that memory holds, made once, and again only from damage on", async () => {
  using folder = new TestFolder();
  const path = folder.at("tokens");
  const [a, b] = [reader("a", [4, 4], 1, 6), reader("b", [6, 3], 0, 5)];
  const readers = [a.slice, b.slice];
  const memory = await readTokens(readers, { grid: 4 });
  const images = [3, 19, 0];
  const wanted = memory.read(images);
  {
    using cache = await TokenCache.open(path, readers, { grid: 4, dtype: "f32" });
    assert.deepEqual([cache.nImages, cache.slices.length], [N, 2]);
    assert.deepEqual(cache.read(images), wanted);
  }
  a.slice.reads = 0;
  {
    using cache = await TokenCache.open(path, readers, { grid: 4, dtype: "f32" });
    assert.deepEqual(cache.read(images), wanted);
    assert.equal(a.slice.reads, 0, "nothing is made twice");
  }
  const bytes = Deno.readFileSync(path);
  bytes[bytes.length - 2000] ^= 1; // in one of the last images
  Deno.writeFileSync(path, bytes);
  using cache = await TokenCache.open(path, readers, { grid: 4, dtype: "f32" });
  assert.deepEqual(cache.read(images), wanted);
  assert.equal(a.slice.reads, 1, "the images from the damaged one on, in one piece");
  await assert.rejects(
    TokenCache.open(path, [a.slice], { grid: 4, dtype: "f32" }),
    /another networks/,
  );
});

Deno.test("TokenCache in half precision keeps three digits, and refuses what does not fit", async () => {
  using folder = new TestFolder();
  const { slice } = reader("a", [4, 4], 1, 6);
  const [wanted] = (await readTokens([slice], { grid: 4 })).read([5]);
  using cache = await TokenCache.open(folder.at("tokens"), [slice], { grid: 4 });
  const [found] = cache.read([5]);
  wanted.forEach((x, i) => assert(Math.abs(found[i] - x) <= Math.abs(x) * 2 ** -11 + 2 ** -25));
  const large = { ...slice, readRows: () => new Float32Array(16 * 17 * 6).fill(7e4) };
  await assert.rejects(
    TokenCache.open(folder.at("large"), [large], { grid: 4 }),
    /layer 0 of a in half precision: a value is 70000, at most 65504 fits/,
  );
  await assert.rejects(
    readTokens([slice, { ...slice, nImages: 3 }]),
    /tokens of 3 images, layer 0 of a of 20/,
  );
});

Deno.test("SlotFile keeps the latest whole state, through damage of the last one", () => {
  using folder = new TestFolder();
  const path = folder.at("state");
  const state = (fill: number) => new Uint8Array(1000 + fill).fill(fill);
  {
    using file = new SlotFile(path, { settings: 1 }, 2000);
    assert.equal(file.latest, undefined);
    for (const fill of [1, 2, 3]) file.write(state(fill));
  }
  const read = () => {
    using file = new SlotFile(path, { settings: 1 }, 2000);
    return file.latest;
  };
  assert.deepEqual(read(), state(3));
  const bytes = Deno.readFileSync(path);
  bytes[4096 + 2048 + 500] ^= 1; // states 1 and 3 are in the second place
  Deno.writeFileSync(path, bytes);
  assert.deepEqual(read(), state(2));
  Deno.truncateSync(path, 4096);
  assert.equal(read(), undefined);
  Deno.truncateSync(path, 30); // killed while it was begun
  assert.equal(read(), undefined);
  assert.throws(() => new SlotFile(path, { settings: 2 }, 2000), /a run with another settings/);
  folder.write("text", "hello");
  assert.throws(() => new SlotFile(folder.at("text"), {}, 10), /not a state of training/);
});
