import { InputError } from "../errors.ts";

/** A triangle mesh: a cortical surface. */
export interface Surface {
  /** Coordinates, `[nVertices, 3]`, in millimetres: x to the right, y to the front, z upward. */
  readonly vertices: Float32Array<ArrayBuffer>;
  /** The three vertices of each triangle, `[nFaces, 3]`. */
  readonly faces: Uint32Array<ArrayBuffer>;
  /** For a patch, the number of each vertex in the full surface, `[nVertices]`. */
  readonly vertexIndex?: Uint32Array<ArrayBuffer>;
  /** For a patch, 1 where a vertex lies on its border, `[nVertices]`. */
  readonly isBorder?: Uint8Array<ArrayBuffer>;
}

/**
 * Refuses meshes that cannot be drawn.
 *
 * @param cannot the beginning of error sentences, "Cannot read the surface …:"
 * @throws {InputError} when the lengths are no multiples of three, a coordinate is not finite, or a face names no vertex
 */
export function checkSurface({ vertices, faces }: Surface, cannot: string): void {
  if (vertices.length === 0 || vertices.length % 3 !== 0 || faces.length % 3 !== 0) {
    throw new InputError(
      `${cannot} it needs three numbers for every vertex and face, it has ${vertices.length} and ${faces.length}`,
    );
  }
  const nVertices = vertices.length / 3;
  const bad = vertices.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new InputError(
      `${cannot} coordinates must be finite, vertex ${Math.floor(bad / 3)} has ${vertices[bad]}`,
    );
  }
  const beyond = faces.findIndex((vertex) => vertex >= nVertices);
  if (beyond >= 0) {
    throw new InputError(
      `${cannot} face ${Math.floor(beyond / 3)} names vertex ${
        faces[beyond]
      } of ${nVertices} (counted from 0)`,
    );
  }
}

/** Moves points by an affine matrix, `[4, 4]` in C order; only its first three rows count. */
export function transformPoints(
  points: ArrayLike<number>,
  matrix: ArrayLike<number>,
): Float32Array<ArrayBuffer> {
  const moved = new Float32Array(points.length);
  for (let at = 0; at < points.length; at += 3) {
    for (let row = 0; row < 3; row++) {
      moved[at + row] = matrix[4 * row] * points[at] + matrix[4 * row + 1] * points[at + 1] +
        matrix[4 * row + 2] * points[at + 2] + matrix[4 * row + 3];
    }
  }
  return moved;
}

/**
 * The values of a patch's vertices, from those of the full surface.
 *
 * @param values of the full surface, `[nFull, width]`: curvature, coordinates among voxels
 * @param width values of each vertex
 * @returns those of the patch, `[nVertices, width]`
 * @throws {InputError} when the surface is no patch, or there are fewer values than it needs
 */
export function pickVertices(
  values: ArrayLike<number>,
  { vertexIndex }: Surface,
  width: number = 1,
): Float32Array<ArrayBuffer> {
  if (!vertexIndex) throw new InputError("Cannot pick vertices of a patch: the surface is whole");
  const picked = new Float32Array(vertexIndex.length * width);
  vertexIndex.forEach((vertex, v) => {
    if ((vertex + 1) * width > values.length) {
      throw new InputError(
        `Cannot pick vertices of a patch: it has vertex ${vertex}, there are ${values.length} values, ${width} each`,
      );
    }
    for (let i = 0; i < width; i++) picked[v * width + i] = values[vertex * width + i];
  });
  return picked;
}
