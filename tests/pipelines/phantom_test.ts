import assert from "node:assert/strict";
import { RepeatAverager, zscoreSession } from "../../pipelines/encoding/betas.ts";
import { ncsnr, noiseCeiling } from "../../pipelines/encoding/noise_ceiling.ts";
import { parseVocabAndMerges } from "../../pipelines/models/bpe_files.ts";
import { ClipTokenizer } from "../../pipelines/models/clip_bpe.ts";
import { captionScene, categoryPrompts, VOCABULARY } from "../../pipelines/phantom/captions.ts";
import { makePhantom } from "../../pipelines/phantom/phantom.ts";
import { randomScene } from "../../pipelines/phantom/scene.ts";
import { corticalSheet, ROI_CATEGORY, ROI_PROPERTY, ROIS } from "../../pipelines/phantom/sheet.ts";
import { tokenizerFiles } from "../../pipelines/phantom/tokenizer.ts";
import { sceneVariables, VARIABLES } from "../../pipelines/phantom/tuning.ts";

const options = { seed: 7, nTrain: 200, nTest: 40, size: 32, nSubjects: 2, nVoxels: 300 };
const phantom = await makePhantom(options);

Deno.test("makePhantom() gives image i whatever the number of images, and the same test images", async () => {
  const short = await makePhantom({ ...options, nTrain: 12, nTest: 5, nSubjects: 1 });
  const bytes = 32 * 32 * 3;
  const rows = (pixels: Uint8Array, start: number, n: number): Uint8Array =>
    pixels.subarray(start * bytes, (start + n) * bytes);
  assert.deepEqual(rows(short.pixels, 0, 12), rows(phantom.pixels, 0, 12));
  assert.deepEqual(rows(short.pixels, 12, 5), rows(phantom.pixels, 200, 5));
  assert.equal(short.images[13].caption, phantom.images[201].caption);
  assert.deepEqual(short.subjects[0].sheet, phantom.subjects[0].sheet);
});

Deno.test("makePhantom() repeats exactly and differs between seeds and subjects", async () => {
  const small = { ...options, nTrain: 8, nTest: 4 };
  const [a, b] = [await makePhantom(small), await makePhantom(small)];
  assert.deepEqual(a.subjects[1].betas, b.subjects[1].betas);
  const other = await makePhantom({ ...small, seed: 8 });
  assert.notDeepEqual(a.pixels, other.pixels);
  assert.notDeepEqual(a.subjects[0].trueNcsnr.slice(0, 9), a.subjects[1].trueNcsnr.slice(0, 9));
});

Deno.test("makePhantom() estimates the ncsnr that the responses were made with", () => {
  // With 240 images of 3 repeats the noise variance v of z-scored betas has 480 degrees of freedom, so its relative error is
  // e = √(2/480) per voxel, and that of ncsnr = √((1 − v)/v) is e / (2(1 − v)). The root mean square of the errors
  // in units of that, over some 300 voxels, is 1 ± 0.04; z-scoring by a session's own variance adds to it.
  for (const subject of phantom.subjects) {
    let squares = 0;
    let sum = 0;
    let n = 0;
    subject.trueNcsnr.forEach((truth, v) => {
      if (truth === 0) return assert.ok(subject.ncsnr[v] < 0.4, `${subject.ncsnr[v]} of noise`);
      const noise = 1 / (1 + truth * truth);
      const error = subject.ncsnr[v] / truth - 1;
      squares += (error / (Math.sqrt(2 / 480) / (2 * (1 - noise)))) ** 2;
      sum += error;
      n++;
    });
    assert.ok(Math.sqrt(squares / n) < 1.5, `rms error ${Math.sqrt(squares / n)} standard errors`);
    assert.ok(Math.abs(sum / n) < 0.03, `mean relative error ${sum / n}`);
  }
});

Deno.test("makePhantom() gives averaged responses that reach the noise ceiling against the true signal", () => {
  for (const { responses, signal, noiseCeiling: ceiling } of phantom.subjects) {
    const n = ceiling.length;
    let excess = 0;
    for (let v = 0; v < n; v++) {
      if (ceiling[v] === 0) continue; // No signal.
      let sr = 0, rr = 0, ss = 0;
      for (let i = 0; i < 240; i++) {
        sr += signal[i * n + v] * responses[i * n + v];
        rr += responses[i * n + v] ** 2;
        ss += signal[i * n + v] ** 2;
      }
      excess += (sr * sr / (rr * ss) - ceiling[v]) / n;
    }
    // Per voxel the squared correlation of 240 images errs by about 0.03, over 300 voxels by 0.002 but for what they share.
    assert.ok(Math.abs(excess) < 0.02, `mean of squared correlation − ceiling is ${excess}`);
  }
});

Deno.test("makePhantom() drives each late region by its category", () => {
  const { sheet, signal } = phantom.subjects[0];
  for (const [roi, category] of Object.entries(ROI_CATEGORY)) {
    const voxels = [...sheet.roi.keys()].filter((v) => ROIS[sheet.roi[v]] === roi);
    const mean = (i: number): number =>
      voxels.reduce((sum, v) => sum + signal[i * sheet.nVoxels + v], 0) / voxels.length;
    const groups = { with: [] as number[], without: [] as number[] };
    phantom.images.forEach(({ rendered }, i) => {
      const label = VARIABLES.indexOf(category) + 1;
      const seen = rendered.labels.filter((l) => l === label).length;
      if (seen > 8) groups.with.push(mean(i));
      else if (seen === 0) groups.without.push(mean(i));
    });
    assert.ok(Math.min(...groups.with) > Math.max(...groups.without) - 0.6, roi);
    const average = (list: number[]): number => list.reduce((a, b) => a + b, 0) / list.length;
    assert.ok(average(groups.with) - average(groups.without) > 1.5, roi);
  }
});

Deno.test("makePhantom() drives voxels by means of properties, with both signs, and others by nothing", () => {
  const { sheet, signal, tuning } = phantom.subjects[0];
  const n = sheet.nVoxels;
  const variables = phantom.images.map(({ scene, rendered }) => sceneVariables(scene, rendered));
  for (const name of Object.values(ROI_PROPERTY)) {
    const k = VARIABLES.indexOf(name);
    const signs = new Set<number>();
    for (let v = 0; v < n; v++) {
      if (ROIS[sheet.roi[v]] !== name) continue;
      const sign = Math.sign(tuning.weights[v * VARIABLES.length + k]);
      const [low, high] = [0, 1].map((i) =>
        variables.findIndex((values) =>
          values[k] === (i ? Math.max : Math.min)(...variables.map((x) => x[k]))
        )
      );
      assert.ok(sign * (signal[high * n + v] - signal[low * n + v]) > 2, `${name} of voxel ${v}`);
      signs.add(sign);
    }
    assert.deepEqual([...signs].sort(), [-1, 1], name);
  }
  const noise = [...sheet.roi.keys()].filter((v) => ROIS[sheet.roi[v]] === "noise");
  for (const v of noise) for (let i = 0; i < 240; i++) assert.equal(signal[i * n + v], 0);
});

Deno.test("makePhantom() refuses sizes out of range and stops when told to", async () => {
  await assert.rejects(makePhantom({ nTrain: 0 }), /nTrain must be a whole number from 1/);
  await assert.rejects(makePhantom({ size: 8.5 }), /size must be a whole number from 16 to 1024/);
  await assert.rejects(
    makePhantom({ nTrain: 1, nTest: 1, nSessions: 40 }),
    /at least 2 trials each/,
  );
  const stop = new AbortController();
  const call = { signal: stop.signal, onProgress: () => stop.abort(new Error("enough")) };
  await assert.rejects(makePhantom(options, call), /enough/);
});

Deno.test("corticalSheet() gives every region voxels in both hemispheres and opposite visual fields", () => {
  for (const nVoxels of [150, 600, 2000]) {
    const sheet = corticalSheet(0, 0, nVoxels);
    assert.ok(sheet.nVoxels >= nVoxels && sheet.nVoxels < 1.3 * nVoxels, `${sheet.nVoxels}`);
    ROIS.forEach((name, k) => {
      for (const side of [0, 1]) {
        const n = sheet.roi.filter((r, v) => r === k && sheet.hemisphere[v] === side).length;
        assert.ok(n > 0, `${name} has no voxel in hemisphere ${side} of ${nVoxels}`);
      }
    });
    sheet.roi.forEach((r, v) => {
      const x = sheet.prf[3 * v];
      if (r > ROIS.indexOf("V4")) return assert.ok(Number.isNaN(x));
      assert.ok(sheet.hemisphere[v] === 0 ? x >= 0.5 : x <= 0.5);
    });
    const total = sheet.volumeShape.reduce((a, b) => a * b);
    sheet.volumeIndex.forEach((cell, v) => {
      assert.ok(cell < total && (v === 0 || cell > sheet.volumeIndex[v - 1]));
    });
  }
});

Deno.test("captionScene() and categoryPrompts use the closed vocabulary only", () => {
  const words = new Set(VOCABULARY);
  assert.ok(words.size <= 100);
  const used = new Set<string>();
  for (let i = 0; i < 400; i++) {
    for (const detail of ["short", "full"] as const) {
      const caption = captionScene(randomScene(1, i), { detail, variant: i % 3 });
      for (const word of caption.split(" ")) used.add(word);
      assert.doesNotMatch(caption, /\ba [aeiou]/);
    }
  }
  for (const word of used) assert.ok(words.has(word), `"${word}" is not in the vocabulary`);
  // Prompts use only words that captions teach.
  for (const prompt of Object.values(categoryPrompts).flat()) {
    for (const word of prompt.split(" ")) assert.ok(used.has(word), `"${word}" is in no caption`);
  }
});

Deno.test("tokenizerFiles() gives CLIP's tokenizer one token for every word, and bytes for all else", () => {
  const files = tokenizerFiles();
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  const what = { vocab: "vocab", merges: "merges" };
  const vocabulary = parseVocabAndMerges(bytes(files.vocab), bytes(files.merges), what);
  const tokenizer = new ClipTokenizer(vocabulary);
  for (const word of VOCABULARY) {
    assert.deepEqual(tokenizer.tokenize(word), [vocabulary.ids.get(`${word}</w>`)]);
  }
  assert.equal(tokenizer.vocabSize, 512 + vocabulary.merges.length + 2);
  assert.equal(tokenizer.startOfText, tokenizer.vocabSize - 2);
  assert.equal(tokenizer.endOfText, tokenizer.vocabSize - 1);
  assert.equal(tokenizer.tokenize("xqj").length, 3);
  assert.deepEqual(tokenizer.tokenize("A Photo"), tokenizer.tokenize("a photo"));
});

Deno.test("zscoreSession() standardises each voxel by its population deviation, and RepeatAverager averages what there is", () => {
  const z = zscoreSession(Float32Array.of(1, 5, 3, 5, 5, 5), 2);
  // Voxel 0 holds 1, 3, 5: mean 3, population deviation √(8/3). Voxel 1 is constant.
  const unit = Math.sqrt(1.5);
  [-unit, 0, 0, 0, unit, 0].forEach((want, i) => assert.ok(Math.abs(z[i] - want) < 1e-5));
  const repeats = new RepeatAverager(3, 1);
  repeats.add(Float32Array.of(1, 2, 3), [2, 0, 2]);
  repeats.add(Float32Array.of(10), [2]);
  assert.deepEqual([...repeats.counts], [1, 0, 3]);
  assert.deepEqual([...repeats.average()], [2, Math.fround(14 / 3)]);
});

Deno.test("ncsnr() and noiseCeiling() follow NSD's formulas on numbers worked by hand", () => {
  // Image 0 has repeats 0, 1, 2 (variance 1) and image 1 has 0, 0, 0 (variance 0); image 2 has two trials only.
  // Mean variance 0.5, so ncsnr = √0.5 / √0.5 = 1.
  const betas = Float32Array.of(0, 1, 2, 0, 0, 0, 9, -9);
  const snr = ncsnr(betas, [0, 0, 0, 1, 1, 1, 2, 2]);
  assert.ok(Math.abs(snr[0] - 1) < 1e-6);
  assert.ok(Math.abs(noiseCeiling(snr)[0] - 0.75) < 1e-6);
  // A = 1 image with 3, C = 1 with 1 repeat: 1/n = (1/3 + 1)/2 = 2/3.
  assert.ok(Math.abs(noiseCeiling(snr, { 3: 1, 1: 1 })[0] - 0.6) < 1e-6);
});
