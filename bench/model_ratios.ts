/**
 * Claims about whole models as ratios within one run, on the phantom's CLIP.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { normal, randomKey } from "../engine/random.ts";
import { Tensor } from "../engine/tensor.ts";
import { distillDense } from "../pipelines/dense/distill.ts";
import { whiteInfill } from "../pipelines/dense/features.ts";
import { patchShifts } from "../pipelines/dense/offsets.ts";
import { loadPhantomNet } from "../pipelines/phantom/nets.ts";
import { distillEveryView } from "./distill_every_view.ts";
import { compare, type Ratio } from "./ratios.ts";
import type { TimeOptions } from "./time.ts";

const SIZE = 128; // pixels, as the demo's maps
const VIEWS = 17;

/** Patch embedding of every view against once and gathered, alone and in the whole distillation. */
export async function* modelRatios(gpu: Gpu, options: TimeOptions = {}): AsyncGenerator<Ratio> {
  using model = await loadPhantomNet(gpu, "clip");
  using pixels = Tensor.from(gpu, normal(randomKey(6), 3 * SIZE * SIZE), [1, 3, SIZE, SIZE]);
  const side = SIZE / model.config.patchSize;
  const shifts = patchShifts([side, side], VIEWS);
  const infill = whiteInfill(model.family);
  yield await compare(gpu, {
    name: `distillation of ${VIEWS} views, ${side}² patches: embedded each / once`,
    plain: () => distillEveryView(model, pixels, { shifts, infill, batch: VIEWS }),
    ours: () => distillDense(model, pixels, { shifts, infill, batch: VIEWS }),
    tolerance: 1e-4, // four blocks of sums in another order
  }, options);
}
