import { Gpu } from "./engine/gpu.ts";
import { randomKey } from "./engine/random.ts";
import { openPlainStudy } from "./pipelines/brain_sail/plain_study.ts";
import { runBackbone } from "./pipelines/brain_sail/run_backbone.ts";
import { loadPhantomNet } from "./pipelines/phantom/nets.ts";
import { denseSettings } from "./pipelines/brain_sail/config.ts";
import { parseCaptionLists } from "./pipelines/dense/caption_categories.ts";
import { loadTokenizer } from "./pipelines/models/tokenizer.ts";
const D = "/tmp/ph1500";
using gpu = await Gpu.open();
const nSub = Number(Deno.args[1] ?? 1);
using study = await openPlainStudy({ trainImages: `${D}/images/train`, testImages: `${D}/images/test`, subjects: [1,2,3,4].slice(0, nSub).map((s) => `${D}/responses_subj0${s}.h5`), truth: `${D}/truth_test.h5`, nMapped: Number(Deno.args[2] ?? 40) });
const captions = parseCaptionLists(["face", "body", "place", "food", "word"].map((name) => ({ name, text: Deno.readTextFileSync(`${D}/prompts/${name}.txt`) })));
for (const spec of Deno.args[0].split(",")) {
  const [net, mode, arch] = spec.split(":");
  using model = await loadPhantomNet(gpu, net as "clip");
  const dense = mode ? { dense: mode, arch, gaussianStd: 10 } as never : denseSettings[model.family];
  const t0 = performance.now();
  const backbone = { model, tokenizer: net === "clip" ? await loadTokenizer(`${D}/tokenizer`) : undefined, settings: { name: net, encoderSize: { height: 64, width: 64 }, denseSize: { height: 128, width: 128 }, dense, nAugmentations: 17 } };
  const r = await runBackbone(gpu, study, backbone, { choice: {}, captions, nTop: 5, nTopOf: { food: 10 }, nResamples: 1000, nPermutations: 499, nShuffles: 20, minR2: 0.05, key: randomKey(0) });
  console.log("\n=====", spec, ((performance.now() - t0) / 1000).toFixed(0), "s");
  for (const o of r.owners) {
    console.log("---", o.subject.name, o.isControl ? "CONTROL" : "");
    console.log(o.fit.rois.map((x) => `${x.name} ${x.r2.toFixed(2)}/${x.share.toFixed(2)}`).join("  "));
    for (const l of o.localization) console.log(`  ${l.name.padEnd(6)} ${l.category.padEnd(6)} n ${l.nImages} ` + (["distilled", "plain", "chance", "whole image"] as const).map((m) => `${m} r ${l.scores[m].pearson.map((x) => x.toFixed(2))} iou ${l.scores[m].iou[0].toFixed(2)} auc ${l.scores[m].auc[0].toFixed(2)} pt ${l.scores[m].pointing[0].toFixed(2)}`).join(" | ") + ` shuf ${l.shuffled.pearson.map((x) => x.toFixed(2))} p ${l.pValues.pearson.toFixed(3)} gain ${l.gain.pearson.map((x) => x.toFixed(3))}`);
    if (o.confusion) o.subject.rois.forEach(({ name }, i) => console.log("  ", name.padEnd(10), [...o.confusion!.percent.subarray(5 * i, 5 * i + 5)].map((x) => x.toFixed(0).padStart(4)).join("")));
    const V = o.subject.train.shape[1];
    for (const [p, prop] of ["depth", "saturation", "luminance"].entries()) {
      console.log("  ", prop, o.subject.rois.map(({ name, voxels }) => {
        const vs = Array.from(voxels);
        const sig = vs.filter((v) => o.correlates.test!.qValues[p * V + v] < 0.05);
        return `${name} ${sig.length}/${vs.length}(${sig.filter((v) => o.correlates.test!.signs[p * V + v] > 0).length}+)`;
      }).join(" "));
      const own = o.subject.rois.find((x) => x.name === prop)!;
      // truth sign: anterior = +
      console.log("     sign agreement", Array.from(own.voxels).map((v) => `${o.correlates.r[p * V + v].toFixed(2)}${o.correlates.test!.qValues[p * V + v] < 0.05 ? "*" : ""}`).join(" "));
    }
  }
}
