import assert from "node:assert/strict";
import { DisposedError } from "../../engine/errors.ts";
import { Tensor } from "../../engine/tensor.ts";
import { InputError } from "../../pipelines/errors.ts";
import {
  encodeBfloat16,
  encodeFloat16,
  type HostTensor,
  hostTensor,
  type StateDict,
  toFloat32,
} from "../../pipelines/io/state_dict.ts";
import { readSafetensors, writeSafetensors } from "../../pipelines/io/safetensors.ts";
import { loadVit } from "../../pipelines/models/model.ts";
import { openTestGpu } from "../_gpu.ts";
import { random, toStateDict } from "./vit_fixtures.ts";
import * as models from "./vit_models.ts";
import { assertTensor, relativeError } from "./vit_oracle.ts";
import { assertInputError } from "./io_fixtures.ts";
import { needs } from "../expectations.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const { keys, config } = models.clip.layouts[0];
const image = random([3 * 8 * 12]).data;
const pixelsOf = (dtype: "f32" | "f16" = "f32") =>
  Tensor.from(gpu, image, [1, 3, 8, 12], { dtype });

/** The same checkpoint with every tensor stored in another type. */
function storedAs(
  stateDict: StateDict,
  dtype: "f16" | "bf16",
): StateDict {
  const encode = dtype === "f16" ? encodeFloat16 : encodeBfloat16;
  return new Map(
    [...stateDict].map(([name, tensor]): [string, HostTensor] => [
      name,
      hostTensor(encode(toFloat32(tensor)), tensor.shape, { dtype }),
    ]),
  );
}

for (const dtype of ["f16", "bf16"] as const) {
  Deno.test(`loadVit() reads a ${dtype} file as exactly the values it holds`, async () => {
    const stored = storedAs(toStateDict(keys), dtype);
    const widened: StateDict = new Map(
      [...stored].map((
        [name, t],
      ): [string, HostTensor] => [name, hostTensor(toFloat32(t), t.shape)]),
    );
    using pixels = pixelsOf();
    using model = await loadVit(gpu, readSafetensors(writeSafetensors(stored)), config);
    using twin = await loadVit(gpu, widened, config);
    using got = model.forward(pixels).output;
    using want = twin.forward(pixels).output;
    assert.deepEqual(await got.data(), await want.data());
    using text = model.encodeText([[48, 3, 49]]);
    using same = twin.encodeText([[48, 3, 49]]);
    assert.deepEqual(await text.data(), await same.data());
  });
}

Deno.test(
  "loadVit() keeps weights and activations in f16 when asked",
  needs("f16", gpu.caps.features.has("shader-f16")),
  async () => {
    using pixels = pixelsOf();
    using half = pixelsOf("f16");
    using model = await loadVit(gpu, toStateDict(keys), config);
    using small = await loadVit(gpu, toStateDict(keys), { ...config, dtype: "f16" });
    using want = model.forward(pixels).output;
    using got = small.forward(half).output;
    assert.equal(got.dtype, "f16");
    // 11 bits of significand through two blocks: a few times 2^-11 relative, far from equal and far from wrong
    const error = relativeError(await got.data(), await want.data());
    assert(error > 1e-6 && error < 1e-2, `${error}`);
    using widened = small.forward(pixels).output; // f32 pixels are rounded on the way in
    assert.equal(widened.dtype, "f16");
    await assertTensor(widened, await got.data(), "f32 pixels", 1e-3);
  },
);

Deno.test("loadVit() refuses weights that are not finite and frees what it uploaded", async () => {
  const [weight] = Object.entries(keys).filter(([k]) => k.endsWith("layers.1.mlp.fc2.weight"));
  const broken = { ...weight[1], data: weight[1].data.slice() };
  broken.data[7] = NaN;
  await assert.rejects(
    loadVit(gpu, toStateDict({ ...keys, [weight[0]]: broken }), config),
    (e) => {
      assert(e instanceof InputError);
      assert.match(e.message, /layers\.1\.mlp\.fc2\.weight.*finite.*value 7 is NaN/);
      return true;
    },
  );
});

Deno.test("forward() refuses pixels and names that do not fit, before anything runs", async () => {
  using model = await loadVit(gpu, toStateDict(keys), config);
  for (const shape of [[1, 3, 8, 10], [3, 8, 8], [1, 1, 8, 8], [0, 3, 8, 8]]) {
    using pixels = Tensor.zeros(gpu, shape);
    assertInputError(() => model.forward(pixels), /multiples of 4/);
    assertInputError(() => model.embedPatches(pixels), /multiples of 4/);
  }
  using pixels = pixelsOf();
  for (const name of ["blocks.2", "blocks.0.attn.o", "block.0", "summary", "text.blocks.0"]) {
    assertInputError(() => model.forward(pixels, { capture: [name] }), /blocks\.0 to blocks\.1/);
  }
  assertInputError(
    () => model.forwardText([[49]], { capture: ["blocks.0"] }),
    /text\.blocks\.0 to text\.blocks\.1/,
  );
  using patches = Tensor.zeros(gpu, [1, 5, 24]);
  assertInputError(() => model.forwardTokens(patches, { grid: [2, 3] }), /2x3 needs \[n, 6, 24\]/);
  assertInputError(() => model.forward(pixels, { posInterpolation: "none" }), /2x3 patches/);
});

Deno.test("encodeText() refuses a checkpoint without a text tower", async () => {
  const dino = models.dino.layouts[1];
  using model = await loadVit(gpu, toStateDict(dino.keys), dino.config);
  assertInputError(() => model.encodeText([[1]]), /dino checkpoint has no text tower/);
});

Deno.test("forward() refuses to run a disposed model", async () => {
  const model = await loadVit(gpu, toStateDict(keys), config);
  model[Symbol.dispose]();
  model[Symbol.dispose]();
  using pixels = pixelsOf();
  assert.throws(() => model.forward(pixels), DisposedError);
  assert.throws(() => model.encodeText([[49]]), DisposedError);
});

Deno.test("loadVit() tells which keys it passed over", async () => {
  const [, , repository] = models.dinov2Registers.layouts;
  using model = await loadVit(gpu, toStateDict(repository.keys), repository.config);
  assert.deepEqual(model.ignoredKeys, ["mask_token"]);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
