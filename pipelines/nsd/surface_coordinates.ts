import { InputError } from "../errors.ts";
import { MghFile } from "../io/mgh.ts";
import { quote } from "../io/strict_json.ts";

/** NSD's mark of vertices outside of a volume (nsdcode, `transform_data.py`). */
const OUTSIDE = 9999;

/**
 * Where each vertex of a subject's surface lies in a volume, from NSD's own alignment: `lh.func1pt8-to-layerB2.mgz` among the
 * `transforms` of the subject. Functional images are bent to the anatomy, so no matrix says it.
 *
 * @returns voxel coordinates x, y, z counted from 0, `[nVertices, 3]`, as `sampleVolume` takes them without a matrix; NaN outside
 * @throws {InputError} when the file cannot be read or has not three frames
 */
export async function readNsdCoordinates(path: string): Promise<Float32Array<ArrayBuffer>> {
  const file = await MghFile.open(path);
  if (file.nFrames !== 3) {
    throw new InputError(
      `Cannot use ${
        quote(path)
      }: coordinates of vertices have three frames, it has ${file.nFrames}`,
    );
  }
  const points = new Float32Array(3 * file.nVertices);
  for (let axis = 0; axis < 3; axis++) {
    const frame = await file.frame(axis);
    // NSD counts voxels from 1.
    frame.forEach((at, v) => points[3 * v + axis] = at === OUTSIDE ? NaN : at - 1);
  }
  return points;
}
