/** A phantom's captions and outlines in COCO's format, so that what reads COCO's truth reads the phantom's. */

import type { Phantom, PhantomImage } from "./phantom.ts";
import { CATEGORIES } from "./scene.ts";

/** Lengths of runs outside and inside in turn, column by column, beginning outside. */
function runsOf(size: number, isInside: (pixel: number) => boolean): number[] {
  const counts = [0];
  let inside = false;
  for (let column = 0; column < size; column++) {
    for (let row = 0; row < size; row++) {
      if (isInside(row * size + column) !== inside) {
        inside = !inside;
        counts.push(0);
      }
      counts[counts.length - 1]++;
    }
  }
  return counts;
}

/** What is in an image: every object, and the background where it is a place. */
function annotationsOf({ rendered }: PhantomImage, imageId: number, firstId: number): object[] {
  const { size, labels, instances } = rendered;
  const found = new Map<number, number>(); // Instance to label.
  instances.forEach((instance, pixel) => {
    if (labels[pixel] > 0) found.set(instance, labels[pixel]);
  });
  return [...found].sort(([a], [b]) => a - b).map(([instance, label], i) => {
    const isInside = (pixel: number) => instances[pixel] === instance && labels[pixel] === label;
    const counts = runsOf(size, isInside);
    return {
      id: firstId + i,
      image_id: imageId,
      category_id: label,
      iscrowd: 0,
      area: counts.reduce((sum, run, k) => sum + (k % 2) * run, 0),
      segmentation: { counts, size: [size, size] },
    };
  });
}

/**
 * The two files of COCO's annotations, as text. The number of an image is its NSD id.
 *
 * @returns contents of `instances_….json` and `captions_….json`
 */
export function cocoFiles({ images }: Phantom): { instances: string; captions: string } {
  const annotations: object[] = [];
  images.forEach((image, id) =>
    annotations.push(...annotationsOf(image, id, annotations.length + 1))
  );
  const list = images.map(({ rendered: { size } }, id) => ({ id, height: size, width: size }));
  const categories = CATEGORIES.map((name, c) => ({ id: c + 1, name, supercategory: name }));
  const captions = images.map(({ caption }, id) => ({ id: id + 1, image_id: id, caption }));
  return {
    instances: `${JSON.stringify({ images: list, annotations, categories })}\n`,
    captions: `${JSON.stringify({ images: list, annotations: captions })}\n`,
  };
}
