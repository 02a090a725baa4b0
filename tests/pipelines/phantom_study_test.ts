/**
 * What the shipped network must reach on the phantom, by the study that the demo runs.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Gpu } from "../../engine/gpu.ts";
import { denseSettings } from "../../pipelines/brain_sail/config.ts";
import { meanScore } from "../../pipelines/brain_sail/evaluate.ts";
import { headline } from "../../pipelines/brain_sail/phantom_report.ts";
import { runPhantomStudy } from "../../pipelines/brain_sail/phantom_study.ts";
import { loadPhantomNet } from "../../pipelines/phantom/nets.ts";
import { makePhantom } from "../../pipelines/phantom/phantom.ts";

Deno.test("the shipped CLIP explains the phantom, and distillation finds more than the image alone", async () => {
  // Kernels are tested elsewhere, naive ones too; with those this file would take minutes.
  using gpu = await Gpu.open();
  {
    using model = await loadPhantomNet(gpu, "clip");
    const phantom = await makePhantom({ seed: 0, nTrain: 400, nTest: 100, nSubjects: 1 });
    const study = await runPhantomStudy(gpu, model, phantom, {
      denseSize: 128,
      nMapped: 12,
      nAugmentations: 25,
      dense: denseSettings.clip,
    });
    const { r2OfCeiling } = headline(phantom, study);
    assert.ok(r2OfCeiling >= 0.8, `R² is ${r2OfCeiling} of the noise ceiling`);
    const means = study.methods.map(({ scores }) => meanScore(scores).pearson);
    const [distilled, plain, raw, whole] = means;
    assert.ok(distilled > plain, `mean Pearson r ${distilled} distilled, ${plain} not`);
    assert.ok(plain > raw + 0.3 && plain > whole + 0.3, `mean Pearson r ${means}`);
  }
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("the shipped RADIO explains the phantom through its adaptor, and finds what drives regions", async () => {
  using gpu = await Gpu.open();
  {
    using model = await loadPhantomNet(gpu, "radio");
    const phantom = await makePhantom({ seed: 0, nTrain: 400, nTest: 100, nSubjects: 1 });
    const study = await runPhantomStudy(gpu, model, phantom, {
      denseSize: 64,
      nMapped: 12,
      nAugmentations: 9,
      dense: denseSettings.radio,
    });
    const { r2OfCeiling } = headline(phantom, study);
    assert.ok(r2OfCeiling >= 0.8, `R² is ${r2OfCeiling} of the noise ceiling`);
    const [distilled, , , whole] = study.methods.map(({ scores }) => meanScore(scores).pearson);
    assert.ok(distilled > whole + 0.55, `mean Pearson r ${distilled}`);
  }
  assert.equal(gpu.liveBytes, 0);
});
