import assert from "node:assert/strict";
import { main } from "../../pipelines/cli/main.ts";
import { isJudgeable, meanScore, scoreRegion } from "../../pipelines/brain_sail/evaluate.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { loadPng } from "../../pipelines/io/png.ts";
import { saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { cssColor, shareBar } from "../../pipelines/report/charts.ts";
import { html, htmlPage } from "../../pipelines/report/html.ts";
import { outlineMask } from "../../pipelines/report/panels.ts";
import { makeVision, toStateDict } from "./vit_fixtures.ts";
import { asHuggingFaceClip } from "./vit_layout_writers.ts";

Deno.test("demo goes from a phantom to a page that stands alone, its scores and its maps", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    const tower = makeVision({
      ...{ width: 16, depth: 2, hidden: 24, patchSize: 16, grid: [4, 4], patchBias: false },
      ...{ preNorm: true, projected: 8 },
    });
    saveSafetensors(`${folder}/clip.safetensors`, toStateDict(asHuggingFaceClip(tower)));
    Deno.writeTextFileSync(`${folder}/clip.config.json`, `{"heads":2,"family":"clip"}`);
    const lines: string[] = [];
    const { log, error } = console;
    console.log = console.error = (...parts: unknown[]) => lines.push(parts.join(" "));
    const sizes = ["--train", "30", "--test", "12", "--images", "5", "--size", "64"];
    const args = ["--distill", "3", "--out", `${folder}/demo`, "--json"];
    const code = await main(["demo", "--model", `${folder}/clip.safetensors`, ...sizes, ...args])
      .finally(() => Object.assign(console, { log, error }));
    assert.equal(code, 0, lines.join("\n"));
    const printed = JSON.parse(lines.join("\n"));
    for (const name of ["r2OfCeiling", "distilled", "notDistilled"]) {
      assert(Number.isFinite(printed[name]), name);
    }
    const page = Deno.readTextFileSync(`${folder}/demo/report/index.html`);
    assert.match(page, /<!doctype html>/);
    assert(!/(src|href)="(?!data:)/.test(page), "the page asks for something from elsewhere");
    assert(!/https?:/.test(page));
    assert.equal(page.match(/<img /g)!.length, 5 * 6);
    const scores = JSON.parse(Deno.readTextFileSync(`${folder}/demo/scores.json`));
    assert.deepEqual(scores.methods.map(({ name }: { name: string }) => name), [
      "distilled",
      "not distilled",
      "raw attention",
      "whole image",
    ]);
    assert.equal(scores.methods[3].mean.pearson, 0, "a flat map says nothing");
    using file = await Hdf5File.open(`${folder}/demo/maps.h5`);
    assert.deepEqual(file.info("/maps").shape, [5, 10, 4, 4]);
    assert.equal(loadPng(`${folder}/demo/overview.png`).width, 6 * (128 + 4) + 4);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("scoreRegion() is perfect for the mask itself, and judges by usable masks alone", () => {
  const mask = Uint8Array.from({ length: 64 }, (_, i) => i % 8 < 4 && i < 32 ? 1 : 0);
  const size = { grid: [8, 8], size: [8, 8] } as const;
  const map = Float32Array.from(mask);
  const perfect = { iou: 1, pearson: 1, auc: 1, pointing: 1 };
  const empty = { map, mask: new Uint8Array(64) };
  const flat = { map: new Float32Array(64), mask };
  const { perImage, ...means } = scoreRegion([{ map, mask }, empty, flat], size);
  assert.deepEqual(perImage, {
    iou: new Float64Array([1, NaN, 1 / 7]), // of 16 pixels 4 are hit by chance
    pearson: new Float64Array([1, NaN, 0]),
    auc: new Float64Array([1, NaN, 0.5]),
    pointing: new Float64Array([1, NaN, 0.25]),
  });
  assert.deepEqual(means, { iou: 4 / 7, pearson: 0.5, auc: 0.75, pointing: 0.625, nImages: 2 });
  assert.equal(scoreRegion([{ map, mask }, empty], size).nImages, 1);
  assert.equal(scoreRegion([{ map, mask }, flat], size).pearson, 0.5);
  assert.equal(isJudgeable(new Uint8Array(64).fill(1)), false);
  const none = { iou: 0, pearson: 0, auc: 0, pointing: 0, nImages: 0 };
  assert.deepEqual(meanScore([{ ...perfect, nImages: 2 }, none]), { ...perfect, nImages: 2 });
});

Deno.test("html`` escapes text and nothing that it made itself", () => {
  const inner = html`<b>${"<script>&\"'"}</b>`;
  const outer = html`<p title="${'"'}">${inner}${[inner, inner]}</p>`.markup;
  assert.equal(outer.includes("<script>"), false);
  assert.equal(html`${inner}`.markup, inner.markup);
  assert.equal(
    html`${inner.markup}`.markup.includes("<b>"),
    false,
    "what a user typed is no markup",
  );
  assert.match(htmlPage("a < b", inner), /<title>a &lt; b<\/title>/);
  assert.match(shareBar(2).markup, /width:100\.0%/);
  assert.match(shareBar(NaN).markup, /width:0\.0%/);
  assert.equal(cssColor(0), "rgb(68 1 84)", "viridis begins with #440154");
});

Deno.test("outlineMask() draws along the inside of a mask, around holes too", () => {
  const mask = Uint8Array.from("0000001110010100111000000", Number);
  const image = { height: 5, width: 5, data: new Uint8Array(75) };
  const { data } = outlineMask(image, mask, { width: 1 });
  const drawn = Array.from({ length: 25 }, (_, p) => data[3 * p] === 255 ? 1 : 0).join("");
  assert.equal(drawn, "0000001110010100111000000");
  const full = outlineMask(image, new Uint8Array(25).fill(1), { width: 1 }).data;
  assert(full.every((v) => v === 0), "the border of the image is no outline");
});
