/**
 * The Fourier parameterisation against lucent's own code: one case kept here, all of them where `GYRUS_GOLDEN` names their folder.
 */
import assert from "node:assert/strict";
import { colorMatrix } from "../../pipelines/optvis/colors.ts";
import { readSafetensors } from "../../pipelines/io/safetensors.ts";
import { toFloat32 } from "../../pipelines/io/state_dict.ts";
import { needs } from "../expectations.ts";
import { GoldenFile, maxDifference } from "../golden_file.ts";
import { openTestGpu } from "../_gpu.ts";
import { goldenFolder } from "./golden_vit.ts";
import { compareLucent } from "./optvis_golden.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

Deno.test("the colour matrix is lucent's", () => {
  const { data } = new GoldenFile("lucent_fft_odd").f32("out.color_matrix");
  assert(maxDifference(colorMatrix.flat(), data) < 1e-7);
});

Deno.test("golden: fourierParam() makes lucent's image and gradient at 33x45", async () => {
  const path = new URL("../golden/lucent_fft_odd.safetensors", import.meta.url);
  const tensors = readSafetensors(Deno.readFileSync(path));
  await compareLucent(gpu, tensors, "odd33x45", { decorrelate: true });
});

const here = needs("golden", goldenFolder !== undefined);
Deno.test("golden: fourierParam() makes every image and gradient of lucent's", here, async () => {
  const tensors = readSafetensors(Deno.readFileSync(`${goldenFolder}/lucent_fft.safetensors`));
  const names = [...tensors.keys()].flatMap((k) => /^out\.(\w+)\.rgb$/.exec(k)?.[1] ?? []);
  assert(names.length >= 4);
  for (const name of names) {
    await compareLucent(gpu, tensors, name, { decorrelate: name !== "nodecor64" });
  }
  assert(toFloat32(tensors.get("out.color_matrix")!).length === 9);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
