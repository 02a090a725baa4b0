/**
 * `gyrus bench inception` at a tiny size, and the operations that it counts for the whole network.
 */
import assert from "node:assert/strict";
import { layerOp, layerValues, signatureOf } from "../bench/inception.ts";
import { checkLayer, layerTolerance } from "../bench/inception_check.ts";
import { makeInceptionWeights } from "../bench/inception_weights.ts";
import { PreparedWeights } from "../engine/ops/prepared_weights.ts";
import { randomKey } from "../engine/random.ts";
import { Tensor } from "../engine/tensor.ts";
import { loadInception } from "../pipelines/models/inception.ts";
import { inceptionConvs } from "../pipelines/models/inception_flops.ts";
import { gyrus } from "./console.ts";
import { openCommandGpu } from "./_gpu.ts";

Deno.test("bench inception tells passes and kinds of convolutions with their share of the roofline", async () => {
  const args = ["bench", "inception", "--size", "75", "--narrow", "16", "--samples", "1"];
  const { code, out, errors } = await gyrus(...args, "--json");
  assert.deepEqual([code, errors], [0, []]);
  const [head, forward, step, ...convs] = out.map((line) => JSON.parse(line));
  assert.equal(forward.pass, "forward");
  assert.equal(step.pass, "forward and data gradient");
  assert.equal(step.gflop, 2 * forward.gflop);
  for (const row of [forward, step]) {
    assert.ok(row.ms > 0 && row.deviceBytes > 0);
    assert.ok(
      Math.abs(row.share * head.peaks.gflops * row.ms / 1e3 - row.gflop) < 1e-9 * row.gflop,
    );
  }
  assert.equal(convs.length, 2 * 8);
  const passes = (pass: string) => convs.filter((row) => row.pass === pass);
  for (const pass of ["forward", "data gradient"]) {
    const all = passes(pass).reduce((sum, { gflop }) => sum + gflop, 0);
    assert.ok(Math.abs(all - forward.gflop) < 1e-9 * all);
    assert.equal(passes(pass).reduce((sum, { count }) => sum + count, 0), 94);
  }
});

Deno.test("bench inception tells a step of activation maximisation by part, and extrapolates an image", async () => {
  const small = ["--size", "75", "--narrow", "16", "--samples", "1", "--no-convs"];
  const { code, out, errors } = await gyrus(
    ...["bench", "inception", ...small, "--step", "40", "--steps", "2", "--json"],
  );
  assert.deepEqual([code, errors], [0, []]);
  const rows = out.slice(3).map((line) => JSON.parse(line));
  assert.equal(rows.length, 7);
  for (const { part, forwardMs, backMs, size } of rows) {
    assert.ok(forwardMs > 0 && backMs >= 0, part);
    assert.deepEqual(size, { height: 40, width: 40 });
  }
  const { part, steps, forwardMs, extrapolatedImageSeconds } = rows.at(-1);
  assert.deepEqual([part, steps], ["whole step", 2]);
  // A thousand steps of so many milliseconds: a product and a quotient, each rounded once.
  assert.ok(Math.abs(extrapolatedImageSeconds / forwardMs - 1) <= 4 * Number.EPSILON);
});

Deno.test("checkLayer() finds one value that is off, and NaN", async () => {
  using gpu = await openCommandGpu();
  using model = await loadInception(gpu, makeInceptionWeights(randomKey(0), 16));
  const layer = inceptionConvs(model, { height: 75, width: 75 })
    .find(({ name }) => name === "Mixed_6a.branch3x3")!;
  for (const pass of ["forward", "data gradient"] as const) {
    const work = { layer, pass };
    using x = Tensor.randn(gpu, randomKey(1), [
      1,
      ...pass === "forward" ? layer.input : layer.output,
    ]);
    using prepared = new PreparedWeights();
    using y = layerOp(model, work, x, prepared);
    const values = await layerValues(model, work, x);
    const got = await y.data();
    assert.ok(checkLayer(work, values, got, "it") <= layerTolerance(work));
    const first = Math.floor(got.length / Math.min(96, got.length) / 2);
    for (const wrong of [got[first] + 1e-2, NaN]) {
      const off = got.slice();
      off[first] = wrong;
      assert.throws(
        () => checkLayer(work, values, off, "it"),
        /Cannot time it: Mixed_6a.branch3x3/,
      );
    }
  }
});

Deno.test("inceptionConvs() counts what was counted by hand", async () => {
  using gpu = await openCommandGpu();
  using model = await loadInception(gpu, makeInceptionWeights(randomKey(0)));
  // torchvision's 27,161,264 without the auxiliary classifier
  assert.equal(model.parameters, 23_834_568);
  const convs = inceptionConvs(model, { height: 299, width: 299 });
  assert.equal(convs.length, 94);
  const mega = (signature?: string) =>
    convs.filter((conv) => signature === undefined || signatureOf(conv) === signature)
      .reduce((sum, { flops }) => sum + flops / 2e6, 0);
  // 10⁶ multiply-adds of each kind
  const counted = {
    ...{ "1x1": 1255, "3x3": 1172 + 896, "3x3/2": 387, "5x5": 282 },
    ...{ "1x7": 746, "7x1": 746, "1x3": 113, "3x1": 113 },
  };
  for (const [signature, wanted] of Object.entries(counted)) {
    assert.ok(Math.abs(mega(signature) - wanted) < 1.01, `${signature} ${mega(signature)}`);
  }
  assert.ok(Math.abs(mega() - 5711) < 0.5, `${mega()}`);
});

Deno.test("bench inception refuses sizes and options that do not go", async () => {
  const cases: [RegExp, string[]][] = [
    [/both sides must be at least 75/, ["--size", "60", "--narrow", "16"]],
    [/count from 1/, ["--batch", "0"]],
    [/count from 1/, ["--steps", "0"]],
    [/--narrow takes/, ["--narrow", "3"]],
  ];
  for (const [message, args] of cases) {
    const { code, errors } = await gyrus("bench", "inception", ...args);
    assert.equal(code, 2);
    assert.match(errors.join("\n"), message);
  }
});
