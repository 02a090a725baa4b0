/**
 * Orders of voxels for null hypotheses about maps on cortex. Values of neighbours resemble each other, so that exchanging voxels one by
 * one makes chance look too small; spinning a sphere or shifting a sheet keeps neighbours together.
 *
 * @module
 */
import { foldIn, type Key, normal, uniform } from "../../engine/random.ts";
import { permutation } from "../encoding/cross_validation.ts";
import { InputError } from "../errors.ts";
import { PointTree } from "./point_tree.ts";

/** For draw `i`, the voxel that each voxel takes its label from, `[nVoxels]`. */
export type SpatialOrders = (i: number) => Uint32Array<ArrayBuffer>;

/** Voxels exchanged one by one: sizes of regions stay, neighbourhoods do not. */
export function permutedOrders(key: Key, nVoxels: number): SpatialOrders {
  return (i) => permutation(foldIn(key, i), nVoxels);
}

/** A rotation drawn evenly from all, row-major: that of a random unit quaternion. */
export function randomRotation(key: Key): Float64Array<ArrayBuffer> {
  const drawn = normal(key, 4), length = Math.hypot(...drawn);
  const [w, x, y, z] = Array.from(drawn, (value) => value / length);
  return Float64Array.of(
    ...[1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
    ...[2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
    ...[2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
  );
}

/** Points brought to unit length. */
function onSphere(vertices: ArrayLike<number>): Float64Array {
  const out = Float64Array.from(vertices);
  for (let at = 0; at < out.length; at += 3) {
    const length = Math.hypot(out[at], out[at + 1], out[at + 2]);
    if (!(length > 0)) {
      throw new InputError(`Cannot spin vertex ${at / 3}: it lies in the centre of the sphere`);
    }
    for (let c = 0; c < 3; c++) out[at + c] /= length;
  }
  return out;
}

/**
 * The spin test (Alexander-Bloch et al. 2018): each hemisphere's sphere is turned by one random rotation, mirrored between hemispheres, and
 * every vertex takes the label of the vertex that lies nearest to where it comes to lie.
 *
 * @param spheres vertices of each hemisphere about the centre 0, left then right, `[nVertices, 3]` each; voxels are theirs in this order
 * @throws {InputError} when there is no vertex, or one in the centre
 */
export function spinOrders(key: Key, spheres: readonly ArrayLike<number>[]): SpatialOrders {
  const sides = spheres.map((vertices) => {
    const points = onSphere(vertices);
    return { points, tree: new PointTree(points) };
  });
  const nVoxels = spheres.reduce((sum, { length }) => sum + length / 3, 0);
  return (i) => {
    const rotation = randomRotation(foldIn(key, i)), order = new Uint32Array(nVoxels);
    let first = 0;
    sides.forEach(({ points, tree }, side) => {
      const mirror = side % 2 === 0 ? 1 : -1, place = new Float64Array(3);
      for (let v = 0; v < points.length / 3; v++) {
        for (let r = 0; r < 3; r++) {
          place[r] = 0;
          for (let c = 0; c < 3; c++) {
            const sign = (r === 0 ? mirror : 1) * (c === 0 ? mirror : 1);
            place[r] += sign * rotation[3 * r + c] * points[3 * v + c];
          }
        }
        order[first + v] = first + tree.nearest(place);
      }
      first += points.length / 3;
    });
    return order;
  };
}

/**
 * Shifts of a flat sheet that has no sphere: all voxels move by one random step, those that leave the sheet's bounding box come in at the
 * other side, and each takes the label of the voxel that lies nearest. The box's edge cuts neighbours apart and its empty parts stretch
 * labels, which a sphere does not: use {@link spinOrders} where there is one.
 *
 * @param places of the voxels, `[nVoxels, 2]`
 * @throws {InputError} when there is no voxel, or a coordinate is not finite
 */
export function shiftOrders(key: Key, places: ArrayLike<number>): SpatialOrders {
  const nVoxels = places.length / 2;
  const flat = Float64Array.from(
    { length: 3 * nVoxels },
    (_, at) => at % 3 === 2 ? 0 : places[Math.floor(at / 3) * 2 + at % 3],
  );
  const tree = new PointTree(flat);
  const [low, high] = [[Infinity, Infinity], [-Infinity, -Infinity]];
  for (let at = 0; at < places.length; at++) {
    low[at % 2] = Math.min(low[at % 2], places[at]);
    high[at % 2] = Math.max(high[at % 2], places[at]);
  }
  return (i) => {
    const steps = uniform(foldIn(key, i), 2), place = new Float64Array(3);
    return Uint32Array.from({ length: nVoxels }, (_, v) => {
      for (let c = 0; c < 2; c++) {
        const extent = high[c] - low[c];
        const moved = flat[3 * v + c] - low[c] + steps[c] * extent;
        place[c] = low[c] + (moved > extent ? moved - extent : moved);
      }
      return tree.nearest(place);
    });
  };
}
