/**
 * Clips and TRs of videos: features of frames become means over the frames of each, as they are computed.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { type HostTensor, hostTensor, toFloat32 } from "../io/state_dict.ts";
import type { StepArrays } from "../io/step_log.ts";
import { runPieces } from "./runs.ts";

/** Frames that one sample is the mean of: those from `start` to before `end`. */
export interface Clip {
  /** First frame. */
  readonly start: number;
  /** Frame after the last. */
  readonly end: number;
  /** Label of the clip, or of the run that it is in. */
  readonly label: number;
}

/**
 * Clips by a label for each frame. The frames of a clip follow each other; clips come in the order of the frames, whatever their labels.
 *
 * @param labels clip of each frame, `[nFrames]`
 * @throws {InputError} when there are no labels, one is not finite, or a clip comes in several pieces
 */
export function clipsByLabel(labels: ArrayLike<number>): Clip[] {
  const clips: { start: number; end: number; label: number }[] = [];
  const seen = new Set<number>();
  for (let frame = 0; frame < labels.length; frame++) {
    const label = labels[frame], last = clips[clips.length - 1];
    if (last?.label === label) {
      last.end = frame + 1;
      continue;
    }
    if (!Number.isFinite(label) || seen.has(label)) {
      throw new InputError(
        `Cannot average frames: the frames of a clip must follow each other and its label be a finite number, frame ${frame} (counted from 0) is of clip ${label}${
          seen.has(label) ? " again" : ""
        }`,
      );
    }
    seen.add(label);
    clips.push({ start: frame, end: frame + 1, label });
  }
  if (clips.length > 0) return clips;
  throw new InputError("Cannot average frames: there are none");
}

/**
 * Clips of a fixed length, such as the TRs of a movie: frame `i` of a run lies in its clip `⌊i / framesPerClip⌋`. The last clip of a run may be
 * shorter.
 *
 * @param framesPerClip frames in a clip, from 1; need not be whole (29.97 frames a second at a TR of 1.5 s make 44.955)
 * @param runs run of each frame, `[nFrames]`: clips begin anew with each; without it all frames are run 0
 * @returns clips labelled by their run
 * @throws {InputError} when there are no frames, a length is below 1, or a run comes in several pieces
 */
export function clipsByLength(
  nFrames: number,
  framesPerClip: number,
  runs?: ArrayLike<number>,
): Clip[] {
  if (!(framesPerClip >= 1 && Number.isFinite(framesPerClip)) || nFrames < 1) {
    throw new InputError(
      `Cannot average ${nFrames} frames in clips of ${framesPerClip}: there must be frames, and one or more in a clip`,
    );
  }
  return runPieces(nFrames, runs).flatMap(({ start, end }) => {
    const clips: Clip[] = [];
    for (let at = start; at < end;) {
      // A millionth of a frame, lest the rounding of 44.955 · 1000 moves the frame that it should be.
      const next = start + Math.ceil((clips.length + 1) * framesPerClip - 1e-6);
      clips.push({ start: at, end: Math.min(end, next), label: runs?.[start] ?? 0 });
      at = next;
    }
    return clips;
  });
}

/** Whole clips that are averaged together, so that they have at least `frames` frames where there are as many left. */
export function clipSteps(clips: readonly Clip[], frames: number): Clip[][] {
  const steps: Clip[][] = [];
  let held = Infinity;
  for (const clip of clips) {
    if (held >= frames) {
      steps.push([]);
      held = 0;
    }
    steps[steps.length - 1].push(clip);
    held += clip.end - clip.start;
  }
  return steps;
}

/** Sums of the rows of each clip in float64. */
class ClipSums {
  readonly #sums: Float64Array<ArrayBuffer>;

  constructor(readonly shape: readonly number[], nClips: number, readonly width: number) {
    this.#sums = new Float64Array(nClips * width);
  }

  /** Adds one row. */
  add(clip: number, row: Float32Array): void {
    const to = clip * this.width;
    for (let j = 0; j < this.width; j++) this.#sums[to + j] += row[j];
  }

  /** Means over the frames. */
  means(clips: readonly Clip[]): HostTensor {
    const values = Float32Array.from(this.#sums, (sum, at) => {
      const { start, end } = clips[Math.floor(at / this.width)];
      return sum / (end - start);
    });
    return hostTensor(values, [clips.length, ...this.shape]);
  }
}

/** Arrays of the frames `start` to before `end`, each `[end − start, …]` in float32. */
export type FrameArrays = (start: number, end: number) => Promise<StepArrays>;

/** Options of {@link averageClips}. */
export interface AverageClipsOptions {
  /** Frames at a time. */
  readonly batch: number;
  /** Step to begin with: where an interrupted run had come to (default 0). */
  readonly first?: number;
}

/**
 * Means over the frames of each clip, in float64 sums. Frames of one batch and sums of the clips of one step are in memory, whatever the
 * length of a clip. A step is made of whole clips ({@link clipSteps}), so that a run can go on behind any step.
 *
 * @returns for each step the arrays with one row per clip
 */
export async function* averageClips(
  clips: readonly Clip[],
  arraysOf: FrameArrays,
  { batch, first = 0 }: AverageClipsOptions,
): AsyncGenerator<StepArrays> {
  for (const own of clipSteps(clips, batch).slice(first)) {
    const sums = new Map<string, ClipSums>();
    const last = own[own.length - 1].end;
    let clip = 0;
    for (let start = own[0].start; start < last; start += batch) {
      const end = Math.min(last, start + batch);
      const arrays = await arraysOf(start, end);
      const values = new Map([...arrays].map(([name, array]) => [name, toFloat32(array)]));
      for (let frame = start; frame < end; frame++) {
        while (own[clip].end <= frame) clip++;
        for (const [name, { shape }] of arrays) {
          const rows = values.get(name)!, width = rows.length / (end - start);
          if (!sums.has(name)) sums.set(name, new ClipSums(shape.slice(1), own.length, width));
          const at = (frame - start) * width;
          sums.get(name)!.add(clip, rows.subarray(at, at + width));
        }
      }
    }
    yield new Map([...sums].map(([name, sum]) => [name, sum.means(own)]));
  }
}
