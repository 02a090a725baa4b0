/**
 * `gyrus bench dense`: both ways are told and agree at a tiny size, and the operations are those that were counted for the paper.
 */
import assert from "node:assert/strict";
import { denseSettings } from "../pipelines/brain_sail/config.ts";
import { gyrus } from "./console.ts";
import { denseFlops } from "../pipelines/dense/flops.ts";
import type { VitConfig } from "../pipelines/models/vit_config.ts";

Deno.test("bench dense tells both ways to the same features, with their operations and share of the roofline", async () => {
  const args = ["bench", "dense", "--size", "64", "--distill", "4", "--repeats", "1"];
  const { code, out, errors } = await gyrus(...args, "--json");
  assert.deepEqual([code, errors], [0, []]);
  const [head, once, every] = out.map((line) => JSON.parse(line));
  assert.deepEqual([head.family, head.dense], ["clip", "naclip"]);
  assert.equal(once.method, "patches embedded once");
  assert.equal(every.method, "every view embedded");
  for (const row of [once, every]) {
    assert.deepEqual([row.size, row.nAugmentations], [{ height: 64, width: 64 }, 4]);
    assert.ok(row.imagesPerSecond > 0 && row.deviceBytes > 0 && row.error <= 1e-5);
    assert.ok(Math.abs(row.gflops - row.gflopPerImage * row.imagesPerSecond) < 1e-9 * row.gflops);
    assert.ok(Math.abs(row.share - row.gflops / head.peaks.gflops) < 1e-9);
  }
  // 8 × 8 patches: those of image, mirror image and infill against those of four views.
  const ratio = once.embeddingGflop / every.embeddingGflop;
  assert.ok(Math.abs(ratio - (2 * 64 + 1) / (4 * 64)) < 1e-12);
});

Deno.test("bench dense refuses sizes and options that do not go", async () => {
  const cases: [RegExp, string[]][] = [
    [/both sides must be multiples of 8/, ["--size", "60"]],
    [/counts from 1/, ["--repeats", "0"]],
    [/--config needs --model/, ["--config", "x.json"]],
  ];
  for (const [message, args] of cases) {
    const { code, errors } = await gyrus("bench", "dense", ...args);
    assert.equal(code, 2);
    assert.match(errors.join("\n"), message);
  }
});

const base = { width: 768, depth: 12, heads: 12, hidden: 3072, gated: false, channels: 3 };

Deno.test("denseFlops() counts for the paper's backbones what was counted by hand", () => {
  // 10⁹ operations of one forward pass and 10¹² of one image.
  const cases: [keyof typeof denseSettings, Partial<VitConfig>, number, number, number, number][] =
    [
      ["clip", { patchSize: 16, prefixTokens: 1 }, 56, 768 * 512, 868, 44.3],
      ["clip", { patchSize: 16, prefixTokens: 1 }, 42, 768 * 512, 399, 20.4],
      ["clip", { patchSize: 16, prefixTokens: 1 }, 28, 768 * 512, 149, 7.6],
      ["dinov2", { patchSize: 14, prefixTokens: 5 }, 37, 0, 295, 7.4],
      ["radio", { patchSize: 16, prefixTokens: 8 }, 48, 0, 571, 14.3],
    ];
  for (const [family, sizes, side, nHeadWeights, forward, image] of cases) {
    const config = { ...base, ...sizes, family } as VitConfig;
    const { nAugmentations, ...settings } = denseSettings[family];
    const count = (n: number) =>
      denseFlops(config, [side, side], { ...settings, nHeadWeights, nAugmentations: n }).total;
    assert.ok(Math.abs(count(1) / 1e9 - forward) < 1.5, `${family} ${side}: ${count(1) / 1e9}`);
    const all = count(nAugmentations) / 1e12;
    assert.ok(Math.abs(all - image) < 0.005 * image + 0.05, `${family} ${side}: ${all}`);
  }
});
