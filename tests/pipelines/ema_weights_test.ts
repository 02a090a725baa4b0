/** Averaged weights found beside the trained ones. */
import assert from "node:assert/strict";
import { type HostTensor, hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { averagedWeights } from "../../pipelines/models/ema_weights.ts";
import { assertInputError } from "./io_fixtures.ts";

const tensor = (value: number): HostTensor => hostTensor(Float32Array.of(value), [1]);

Deno.test("averagedWeights() finds those of denoising-diffusion-pytorch, not the copy that is trained on", () => {
  const stateDict = new Map([
    ["model.init_conv.weight", tensor(1)],
    ["ema.online_model.model.init_conv.weight", tensor(2)],
    ["ema.ema_model.model.init_conv.weight", tensor(3)],
  ]);
  const found = averagedWeights(stateDict);
  assert.equal(found.prefix, "ema.ema_model.model.");
  assert.equal(found.stateDict, stateDict);
});

Deno.test("averagedWeights() gives LDM's, whose names have no dots, under the names of the trained ones", () => {
  const stateDict = new Map([
    ["model.diffusion_model.input_blocks.0.0.weight", tensor(1)],
    ["model.diffusion_model.out.2.bias", tensor(2)],
    ["model_ema.diffusion_modelinput_blocks00weight", tensor(3)],
    ["model_ema.diffusion_modelout2bias", tensor(4)],
    ["model_ema.decay", tensor(0.9999)],
  ]);
  const found = averagedWeights(stateDict);
  assert.equal(found.prefix, "model.diffusion_model.");
  assert.deepEqual([...found.stateDict].map(([key, t]) => [key, toFloat32(t)[0]]), [
    ["model.diffusion_model.input_blocks.0.0.weight", 3],
    ["model.diffusion_model.out.2.bias", 4],
  ]);
  stateDict.delete("model_ema.diffusion_modelout2bias"); // half of an average is none
  assertInputError(
    () => averagedWeights(stateDict),
    /has none, no keys begin with "ema"; its networks are under "model\.diffusion_model\."/,
  );
});

Deno.test("averagedWeights() names what there is where it cannot choose", () => {
  const two = new Map([["ema.a.conv_in.weight", tensor(1)], ["ema.b.conv_in.weight", tensor(1)]]);
  assertInputError(() => averagedWeights(two), /several, under "ema\.a\.", "ema\.b\."/);
  assertInputError(
    () => averagedWeights(new Map([["fc.weight", tensor(1)]])),
    /it has "fc\.weight"/,
  );
});
