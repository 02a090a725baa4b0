/**
 * Frames of videos and their means.
 */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../mod.ts";
import {
  averageClips,
  type Clip,
  clipsByLabel,
  clipsByLength,
  clipSteps,
} from "../../pipelines/encoding/clips.ts";
import { hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { assertInputError } from "./io_fixtures.ts";

const spans = (clips: readonly Clip[]) => clips.map(({ start, end }) => [start, end]);

Deno.test("clipsByLabel() takes neighbours with one label as a clip, in their order", () => {
  const clips = clipsByLabel([7, 7, 2, 5, 5, 5]);
  assert.deepEqual(spans(clips), [[0, 2], [2, 3], [3, 6]]);
  assert.deepEqual(clips.map(({ label }) => label), [7, 2, 5]);
  assertInputError(() => clipsByLabel([1, 2, 1]), /frame 2 .* clip 1 again/);
  assertInputError(() => clipsByLabel([1, NaN]), /frame 1 .* clip NaN/);
  assertInputError(() => clipsByLabel([]), /there are none/);
});

Deno.test("clipsByLength() begins anew with each run and keeps a short last clip", () => {
  assert.deepEqual(spans(clipsByLength(7, 3)), [[0, 3], [3, 6], [6, 7]]);
  const clips = clipsByLength(7, 3, [0, 0, 0, 0, 4, 4, 4]);
  assert.deepEqual(spans(clips), [[0, 3], [3, 4], [4, 7]]);
  assert.deepEqual(clips.map(({ label }) => label), [0, 0, 4]);
  assertInputError(() => clipsByLength(7, 0.5), /clips of 0.5/);
  assertInputError(() => clipsByLength(0, 3), /average 0 frames/);
  assertInputError(() => clipsByLength(3, 1, [0, 1, 0]), /begins again/);
});

Deno.test("clipsByLength() puts frame i of a length that is not whole in clip floor(i / length)", () => {
  for (const length of [1, 1.5, 2.5, 44.955, 59.94, 59.4]) {
    const n = 5000, thousandths = Math.round(1000 * length); // so that floor() sees whole numbers
    const want = Array.from({ length: n }, (_, i) => Math.floor(1000 * i / thousandths));
    const got = clipsByLength(n, length).flatMap(({ start, end }, clip) =>
      Array(end - start).fill(clip)
    );
    assert.deepEqual(got, want);
  }
});

/** Values of frames in two arrays, and how often each frame was asked for. */
class Frames {
  readonly a: Float32Array<ArrayBuffer>;
  readonly b: Float32Array<ArrayBuffer>;
  readonly seen: number[] = [];
  largest = 0;

  constructor(readonly n: number) {
    this.a = normal(randomKey(1), n * 6);
    this.b = normal(randomKey(2), n);
  }

  read = (start: number, end: number) => {
    for (let i = start; i < end; i++) this.seen.push(i);
    this.largest = Math.max(this.largest, end - start);
    return Promise.resolve(
      new Map([
        ["/a", hostTensor(this.a.slice(6 * start, 6 * end), [end - start, 2, 3])],
        ["/b", hostTensor(this.b.slice(start, end), [end - start, 1])],
      ]),
    );
  };
}

Deno.test("averageClips() averages every frame once, whatever the batch, and goes on behind a step", async () => {
  const frames = new Frames(37);
  const clips = clipsByLabel(
    Array.from({ length: 37 }, (_, i) => i < 15 ? 0 : i < 16 ? 1 : i >> 3),
  );
  const want = clips.flatMap(({ start, end }) =>
    Array.from({ length: 6 }, (_, j) => {
      let sum = 0;
      for (let i = start; i < end; i++) sum += frames.a[6 * i + j];
      return Math.fround(sum / (end - start));
    })
  );
  for (const batch of [1, 4, 7, 100]) {
    const counted = new Frames(37);
    const steps = [];
    for await (const arrays of averageClips(clips, counted.read, { batch })) steps.push(arrays);
    assert.equal(steps.length, clipSteps(clips, batch).length);
    assert.deepEqual(steps.flatMap((arrays) => [...toFloat32(arrays.get("/a")!)]), want);
    assert.deepEqual(steps[0].get("/a")!.shape.slice(1), [2, 3]);
    assert.deepEqual(counted.seen, Array.from({ length: 37 }, (_, i) => i));
    assert(counted.largest <= batch);
    const rest = [];
    for await (const arrays of averageClips(clips, frames.read, { batch, first: 1 })) {
      rest.push(arrays);
    }
    assert.deepEqual(rest, steps.slice(1));
  }
});

Deno.test("clipSteps() holds whole clips of enough frames, each once", () => {
  const clips = clipsByLength(23, 4);
  assert.deepEqual(clipSteps(clips, 1).map((step) => step.length), [1, 1, 1, 1, 1, 1]);
  assert.deepEqual(clipSteps(clips, 6).map((step) => step.length), [2, 2, 2]);
  assert.deepEqual(clipSteps(clips, 99).flat(), clips);
});
