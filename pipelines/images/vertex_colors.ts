import { InputError } from "../errors.ts";
import type { Surface } from "../io/mesh.ts";
import type { Rgb } from "./preprocess.ts";
import { type ColormapName, colormapTable, type ValueRange, valueRange } from "./colormap.ts";

/** Colours of {@link vertexColors}. */
export interface VertexColorOptions {
  /** The colours. */
  readonly colormap?: ColormapName;
  /** Values of the first and the last colour; the values' own range when left out. */
  readonly range?: ValueRange;
  /** Curvature of each vertex, above 0 in sulci as FreeSurfer has it: shown where there is no value. */
  readonly underlay?: ArrayLike<number>;
}

// Light and dark enough to tell gyri from sulci, pale enough to leave the colours to the values.
const GYRUS = 190;
const SULCUS = 140;

/**
 * Grey of each vertex: sulci darker than gyri where curvature is known.
 *
 * @param curvature above 0 in sulci, `[nVertices]`
 * @returns `[nVertices, 3]` bytes
 */
export function curvatureColors(
  curvature: ArrayLike<number>,
): Uint8Array<ArrayBuffer> {
  const colors = new Uint8Array(3 * curvature.length);
  for (let v = 0; v < curvature.length; v++) {
    colors.fill(curvature[v] > 0 ? SULCUS : GYRUS, 3 * v, 3 * v + 3);
  }
  return colors;
}

/**
 * The colour of each vertex by its value; vertices without one (NaN) are grey as {@link curvatureColors}.
 *
 * @param values `[nVertices]`
 * @returns `[nVertices, 3]` bytes, R, G, B
 * @throws {InputError} when the underlay has another number of vertices
 */
export function vertexColors(
  values: ArrayLike<number>,
  { colormap = "viridis", range, underlay }: VertexColorOptions = {},
): Uint8Array<ArrayBuffer> {
  if (underlay && underlay.length !== values.length) {
    throw new InputError(
      `Cannot colour ${values.length} vertices: the underlay must have as many, has ${underlay.length}`,
    );
  }
  const [low, high] = range ?? valueRange(values, { symmetric: colormap === "diverging" });
  const table = colormapTable(colormap);
  const colors = curvatureColors(underlay ?? new Float32Array(values.length));
  for (let v = 0; v < values.length; v++) {
    const t = (values[v] - low) / (high - low);
    if (Number.isNaN(t)) continue;
    const step = Math.max(0, Math.min(255, Math.floor(t * 256)));
    colors.set(table.subarray(3 * step, 3 * step + 3), 3 * v);
  }
  return colors;
}

/** Colour of {@link outlineRegions}. */
export interface OutlineOptions {
  /** Colour of the outlines, 0..255. */
  readonly color?: Rgb;
}

/**
 * Draws the outlines of regions: the vertices of a region that share a face with a vertex of another.
 *
 * @param colors `[nVertices, 3]` bytes, which stay as they are
 * @param labels region of each vertex, `[nVertices]`; 0, below, and NaN are none
 * @returns `[nVertices, 3]` bytes
 * @throws {InputError} when there is not one label for each colour
 */
export function outlineRegions(
  colors: Uint8Array<ArrayBuffer>,
  labels: ArrayLike<number>,
  { faces }: Surface,
  { color = [0, 0, 0] }: OutlineOptions = {},
): Uint8Array<ArrayBuffer> {
  if (colors.length !== 3 * labels.length) {
    throw new InputError(
      `Cannot outline regions: ${
        colors.length / 3
      } vertices need as many labels, got ${labels.length}`,
    );
  }
  const regionOf = (vertex: number) => labels[vertex] > 0 ? labels[vertex] : 0;
  const drawn = colors.slice();
  for (let at = 0; at < faces.length; at += 3) {
    const corners = faces.subarray(at, at + 3);
    const own = regionOf(corners[0]);
    if (corners.every((vertex) => regionOf(vertex) === own)) continue;
    for (const vertex of corners) if (regionOf(vertex) > 0) drawn.set(color, 3 * vertex);
  }
  return drawn;
}
