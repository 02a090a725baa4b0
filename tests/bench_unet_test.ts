/**
 * `gyrus bench unet` at tiny sizes, and the networks that it times by their weights and operations.
 */
import assert from "node:assert/strict";
import { measurePeaks } from "../bench/peaks.ts";
import { benchUnet, type UnetKernelRow, type UnetPassRow } from "../bench/unet.ts";
import { drawDiffusers } from "../bench/unet_diffusers.ts";
import { NetworkDrawer } from "../bench/unet_draw.ts";
import { drawUnet, type UnetNetwork } from "../bench/unet_networks.ts";
import { checkOp, drawInputs, opShapes, type UnetOp } from "../bench/unet_op.ts";
import { benchUnetOps } from "../bench/unet_peers.ts";
import { randomKey } from "../engine/random.ts";
import { sizeOf } from "../shaders/kernel.ts";
import { gyrus } from "./console.ts";
import { openCommandGpu } from "./_gpu.ts";

Deno.test("the networks of bench unet have the weights, tensors and operations of their publications", () => {
  const facts = (["mig-vis", "adm64", "ddpm32", "sd15"] as const).map((name) => {
    const { stateDict, flops } = drawUnet(name);
    const weights = [...stateDict.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    return [name, weights, stateDict.size, Math.round(flops / 2e8) / 10]; // 10⁹ multiply-adds
  });
  assert.deepEqual(facts, [
    ["mig-vis", 35_705_089, 245, 29.1],
    ["adm64", 295_904_454, 541, 109.7],
    ["ddpm32", 35_746_307, 328, 6.2],
    ["sd15", 859_520_964, 686, 401.6],
  ]);
});

/** A UNet of two levels. */
function tinyUnet(): UnetNetwork {
  const drawer = new NetworkDrawer(randomKey(0));
  drawDiffusers(drawer, {
    ...{ widths: [32, 64], layers: 1, mixed: [1], mixesUp: true, middle: "whole" },
    ...{ side: 8, channels: 3 },
  });
  return {
    ...{ name: "ddpm32", title: "a tiny UNet", input: [3, 8, 8], numClasses: 0 },
    ...{ config: { attention_head_dim: null }, stateDict: drawer.stateDict, flops: drawer.flops },
  };
}

Deno.test("benchUnet() tells a pass and the kernels that it is made of", async () => {
  using gpu = await openCommandGpu();
  const peaks = await measurePeaks(gpu);
  const network = tinyUnet(), options = { key: randomKey(1), batch: 2, repeats: 1 };
  const rows: (UnetPassRow | UnetKernelRow)[] = [];
  for await (const row of benchUnet(gpu, network, options, peaks)) rows.push(row);
  const [pass, ...kernels] = rows as [UnetPassRow, ...UnetKernelRow[]];
  const bytes = [...network.stateDict.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  assert.deepEqual([4 * pass.parameters, pass.weightBytes, pass.batch], [4 * bytes, 4 * bytes, 2]);
  assert.ok(pass.ms > 0 && pass.deviceBytes > pass.weightBytes);
  assert.equal(pass.gflop, 2 * network.flops / 1e9);
  assert.ok(Math.abs(pass.share * peaks.gflops * pass.ms / 1e3 - pass.gflop) < 1e-9 * pass.gflop);
  if (kernels.length === 0) return; // an adapter without timestamps
  assert.equal(kernels.reduce((sum, { dispatches }) => sum + dispatches, 0), pass.dispatches);
  assert.ok(Math.abs(kernels.reduce((sum, { part }) => sum + part, 0) - 1) < 1e-9);
  assert.equal(gpu.liveBytes, 0);
});

const ops: readonly UnetOp[] = [
  { kind: "conv", cin: 5, cout: 7, side: 6 },
  { kind: "norm", channels: 64, side: 5 },
  { kind: "attention", queries: 9, keys: 5, heads: 2, headDim: 8 },
];

Deno.test("benchUnetOps() holds layers against float64, and checkOp() finds one value that is off, and NaN", async () => {
  using gpu = await openCommandGpu();
  const key = randomKey(3), peaks = await measurePeaks(gpu);
  for await (const { title, ms, error } of benchUnetOps(gpu, { key, samples: 1, ops }, peaks)) {
    assert.ok(ms > 0 && error > 0 && error < 2e-5, title);
  }
  for (const op of ops) {
    const inputs = drawInputs(op, key), size = sizeOf(opShapes(op).y);
    for (const wrong of [0.1, NaN]) {
      const got = new Float32Array(size).fill(wrong);
      assert.throws(() => checkOp(op, inputs, got, "it"), /Cannot time it: .* is off by/);
    }
  }
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("bench unet refuses networks that it does not know, and numbers of nothing", async () => {
  const refused = async (...args: string[]) => {
    const { code, errors } = await gyrus("bench", "unet", ...args);
    assert.equal(code, 2);
    return errors.join(" ");
  };
  assert.match(await refused("--networks", "adm65"), /"adm65": there are mig-vis, adm64/);
  assert.match(await refused("--repeats", "0"), /count from 1/);
});
