import { InputError } from "../errors.ts";
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
