/**
 * Arrays of images, batch by batch, or clip by clip of their frames.
 *
 * @module
 */
import { averageClips, type Clip, type FrameArrays } from "../encoding/clips.ts";
import type { StepArrays } from "../io/step_log.ts";
import { letSignalsIn } from "./output.ts";
import type { Progress } from "./progress.ts";

/** What {@link imageSteps} goes through. */
export interface ImagePass {
  /** Number of images. */
  readonly n: number;
  /** Images at once. */
  readonly step: number;
  /** Which images are frames of one clip, where frames are averaged. */
  readonly clips?: readonly Clip[];
  readonly progress: Progress;
  /** Arrays of the images `start` to before `end`, a row for each. */
  readonly arraysOf: FrameArrays;
}

/** The arrays of every batch, or of every step of whole clips, from number `first` on. */
export async function* imageSteps(
  { n, step, clips, progress, arraysOf }: ImagePass,
  first: number,
): AsyncGenerator<StepArrays> {
  const some = async (start: number, end: number) => {
    progress.update({ stage: "features", done: start, total: n });
    await letSignalsIn();
    return await arraysOf(start, end);
  };
  if (clips) yield* averageClips(clips, some, { batch: step, first });
  else {
    for (let start = first * step; start < n; start += step) {
      yield await some(start, Math.min(n, start + step));
    }
  }
  progress.update({ stage: "features", done: n, total: n });
}
