/**
 * What encoders of several subjects predict for sets of images, a batch at a time.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { Tensor } from "../../engine/tensor.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { hostTensor, toFloat32 } from "../io/state_dict.ts";
import { resumeSteps, type StepArrays, type StepLog } from "../io/step_log.ts";
import type { ImageEncoder } from "../vwam/image_encoder.ts";
import { imageFeatures } from "../vwam/image_features.ts";
import type { ImageSet } from "./experiment_images.ts";
import { letSignalsIn } from "./output.ts";
import type { Progress } from "./progress.ts";

/** What {@link predictSets} needs. */
export interface PredictJob {
  readonly gpu: Gpu;
  /** One for each subject. */
  readonly encoders: readonly ImageEncoder[];
  readonly sets: readonly ImageSet[];
  /** Images together. */
  readonly batch: number;
  /** Finished batches are kept there. */
  readonly log?: StepLog;
  readonly progress: Progress;
}

/** One batch. */
interface Batch {
  readonly set: number;
  readonly start: number;
  readonly end: number;
}

function batchesOf({ sets, batch }: PredictJob): Batch[] {
  return sets.flatMap(({ n }, set) =>
    Array.from({ length: Math.ceil(n / batch) }, (_, b) => ({
      ...{ set, start: b * batch, end: Math.min(n, (b + 1) * batch) },
    }))
  );
}

async function* predicted(job: PredictJob, first: number): AsyncGenerator<StepArrays> {
  const { gpu, encoders, sets, progress } = job;
  const batches = batchesOf(job);
  for (let step = first; step < batches.length; step++) {
    progress.update({ stage: "responses", done: step, total: batches.length });
    await letSignalsIn();
    const { set, start, end } = batches[step], { size, read } = sets[set];
    using images = Tensor.from(gpu, await read(start, end), [
      end - start,
      ...[3, size.height, size.width],
    ]);
    const features = new Map<string, HostMatrix>();
    const arrays = new Map<string, ReturnType<typeof hostTensor>>();
    for (const [s, image] of encoders.entries()) {
      const recipe = JSON.stringify(image.recipe);
      const own = features.get(recipe) ?? await imageFeatures(image, images);
      features.set(recipe, own);
      const { data, shape } = await image.encoder.predict(own);
      arrays.set(`${s}`, hostTensor(data, shape));
    }
    yield arrays;
  }
  progress.update({ stage: "responses", done: batches.length, total: batches.length });
}

/**
 * Predicted responses of every subject to every set.
 *
 * @returns for each set and subject `[n, nVoxels]`
 */
export async function predictSets(job: PredictJob): Promise<HostMatrix[][]> {
  const { sets, encoders } = job;
  const all = sets.map(({ n }) =>
    encoders.map(({ encoder: { nTargets } }) =>
      hostMatrix(new Float32Array(n * nTargets), [n, nTargets])
    )
  );
  const batches = batchesOf(job);
  let step = 0;
  for await (const arrays of resumeSteps(job.log, (first) => predicted(job, first))) {
    const { set, start } = batches[step++];
    all[set].forEach(({ data, shape: [, nVoxels] }, s) => {
      const values = arrays.get(`${s}`);
      if (values) data.set(toFloat32(values), start * nVoxels);
    });
  }
  return all;
}
