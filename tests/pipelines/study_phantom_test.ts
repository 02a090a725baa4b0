/**
 * What a study must find on the phantom, where the answer is known, and what must vanish when responses lose their images.
 */
import assert from "node:assert/strict";
import { Gpu } from "../../engine/gpu.ts";
import { randomKey } from "../../engine/random.ts";
import { denseSettings } from "../../pipelines/brain_sail/config.ts";
import { categoryOf } from "../../pipelines/brain_sail/localization.ts";
import { studyOfPhantom } from "./study_of_phantom.ts";
import { roiCorrelates } from "../../pipelines/brain_sail/results.ts";
import { type OwnerResult, runBackbone } from "../../pipelines/brain_sail/run_backbone.ts";
import { parseCaptionLists } from "../../pipelines/dense/caption_categories.ts";
import { parseVocabAndMerges } from "../../pipelines/models/bpe_files.ts";
import { ClipTokenizer } from "../../pipelines/models/clip_bpe.ts";
import { categoryPrompts } from "../../pipelines/phantom/captions.ts";
import { loadPhantomNet } from "../../pipelines/phantom/nets.ts";
import { makePhantom } from "../../pipelines/phantom/phantom.ts";
import { tokenizerFiles } from "../../pipelines/phantom/tokenizer.ts";

const lists = ["face", "body", "place", "food", "word"] as const;

function vocabulary() {
  const { vocab, merges } = tokenizerFiles();
  const bytes = (text: string) => new TextEncoder().encode(text);
  return parseVocabAndMerges(bytes(vocab), bytes(merges), { vocab: "vocab", merges: "merges" });
}

function checkSubject(
  { subject: { rois }, fit, localization, confusion, correlates }: OwnerResult,
) {
  const fitOf = (roi: string) => fit.rois.find(({ name }) => name === roi)!;
  assert.ok(fitOf("PPA").share > 0.7, `PPA reaches ${fitOf("PPA").share} of its ceiling`);
  assert.equal(fitOf("PPA").nPredicted, fitOf("PPA").nVoxels);
  assert.ok(fitOf("noise").nPredicted <= 1, `${fitOf("noise").nPredicted} voxels of noise`);
  for (const { name, scores, shuffled, nImages } of localization) {
    const { distilled, chance, "whole image": whole } = scores;
    assert.ok(nImages >= 2, name);
    assert.ok(distilled.pearson.low > 0.3, `${name} r ${distilled.pearson.low} at least`);
    assert.ok(distilled.auc.low > 0.65 && distilled.iou.mean > chance.iou.mean, name);
    assert.ok(distilled.pearson.low > chance.pearson.high, `${name} against chance`);
    assert.ok(whole.pearson.mean === 0 && Math.abs(whole.auc.mean - 0.5) < 1e-9, name);
    assert.ok(distilled.pearson.mean > shuffled.pearson.mean, `${name} against the control`);
  }
  const mean = localization.at(-1)!;
  assert.ok(mean.scores.distilled.pearson.low > mean.shuffled.pearson.high, "mean over regions");
  const k = lists.length;
  rois.forEach(({ name }, r) => {
    const category = categoryOf(name);
    if (category === undefined) return;
    const counts = confusion!.counts.subarray(r * k, (r + 1) * k);
    const own = counts[lists.findIndex((list) => list === category)];
    assert.equal(own, Math.max(...counts), `${name} is assigned ${counts}`);
    assert.ok(own >= 0.8 * counts.reduce((a, b) => a + b), `${name} is assigned ${counts}`);
  });
  const table = roiCorrelates(rois, correlates);
  const of = (roi: string, property: string) =>
    table.find((row) => row.roi === roi && row.property === property)!;
  const depth = of("depth", "depth");
  const nVoxels = rois.find(({ name }) => name === "depth")!.voxels.length;
  assert.equal(depth.nPositive + depth.nNegative, nVoxels, "voxels of depth");
  for (const property of ["depth", "saturation", "luminance"]) {
    const noise = of("noise", property);
    assert.equal(noise.nPositive + noise.nNegative, 0, `noise goes with ${property}`);
  }
}

/** The anterior half of a property's voxels likes what the posterior half does not. */
function checkSigns({ subject: { rois, places }, correlates: { r } }: OwnerResult) {
  const nVoxels = places.hemisphere!.length;
  ["depth", "saturation", "luminance"].forEach((property, p) => {
    const voxels = Array.from(rois.find(({ name }) => name === property)!.voxels);
    const place = (v: number) => Math.abs(places.flat![2 * v]);
    const middle = voxels.reduce((sum, v) => sum + place(v), 0) / voxels.length;
    const mean = (half: readonly number[]) =>
      half.reduce((sum, v) => sum + r[p * nVoxels + v] / half.length, 0);
    const difference = mean(voxels.filter((v) => place(v) >= middle)) -
      mean(voxels.filter((v) => place(v) < middle));
    assert.ok(difference > 0.2, `${property}: ${difference}`);
  });
}

Deno.test("a study finds what drives the phantom's regions, and its control finds nothing", async () => {
  // Kernels are tested elsewhere, naive ones too; with those this file would take minutes.
  using gpu = await Gpu.open();
  {
    using model = await loadPhantomNet(gpu, "clip");
    const phantom = await makePhantom({ nTrain: 700, nTest: 120, nSubjects: 2, nVoxels: 300 });
    using study = studyOfPhantom(phantom, { nMapped: 36 });
    const { owners } = await runBackbone(gpu, study, {
      model,
      tokenizer: new ClipTokenizer(vocabulary()),
      settings: {
        name: "clip",
        encoderSize: { height: 64, width: 64 },
        denseSize: { height: 128, width: 128 },
        dense: denseSettings.clip,
        nAugmentations: 5,
      },
    }, {
      choice: {},
      captions: parseCaptionLists(
        lists.map((name) => ({ name, text: categoryPrompts[name].join("\n") })),
      ),
      nTop: 5,
      nResamples: 500,
      nPermutations: 199,
      nShuffles: 9,
      minR2: 0.05,
      key: randomKey(0),
    });
    for (const owner of owners.filter(({ isControl }) => !isControl)) {
      checkSubject(owner);
      checkSigns(owner);
    }
    for (const { fit, correlates: { test } } of owners.filter(({ isControl }) => isControl)) {
      const { r2 } = fit.rois.at(-1)!;
      assert.ok(r2 < 0.01, `shuffled responses have a median R² of ${r2}`);
      console.log(
        fit.rois.map((x) => `${x.name} ${x.nPredicted} ${x.r2.toFixed(2)}`).join(" "),
        test!.qValues.filter((q) => q < 0.05).length,
        test!.qValues.filter((q) => !Number.isNaN(q)).length,
      );
    }
  }
  assert.equal(gpu.liveBytes, 0);
});
