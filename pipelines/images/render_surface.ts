/**
 * Pictures of cortical surfaces by a depth buffer on the host: parallel projection, every pixel the nearest triangle.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { checkSurface, type Surface } from "../io/mesh.ts";
import type { Rgb } from "./preprocess.ts";
import type { RgbImage } from "./rgb_image.ts";
import { cameraOf, type Hemisphere, type SurfaceView, surfaceViews } from "./surface_view.ts";

/** View and size of {@link renderSurface}. */
export interface RenderSurfaceOptions {
  /** The side that is seen; a flat surface (all z the same) is always seen as `flat`. */
  readonly view?: SurfaceView;
  /** Which hemisphere the surface is. */
  readonly hemisphere?: Hemisphere;
  /** Pixels of the longer side of the picture. */
  readonly size?: number;
  /** Colour around the surface, 0..255. */
  readonly background?: Rgb;
  /** How dark a face gets that is seen edge-on: 0 not at all, 1 black. */
  readonly shading?: number;
}

/** Samples along each side of a pixel, whose mean it is: edges without stairs. */
const SAMPLES = 2;
/** Pixels left free around the surface. */
const MARGIN = 4;
const MAX_SIZE = 4096;

/** Vertices in samples of the picture: right, down, and away from the viewer. */
interface Projection {
  readonly points: Float64Array;
  readonly width: number;
  readonly height: number;
}

function project(
  vertices: Float32Array,
  { right, up, forward, size }: ReturnType<typeof cameraOf> & { readonly size: number },
): Projection {
  const n = vertices.length / 3;
  const points = new Float64Array(vertices.length);
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  const along = (axis: readonly number[], v: number) =>
    axis[0] * vertices[3 * v] + axis[1] * vertices[3 * v + 1] + axis[2] * vertices[3 * v + 2];
  for (let v = 0; v < n; v++) {
    const place = [along(right, v), -along(up, v)];
    points.set([...place, along(forward, v)], 3 * v);
    for (const axis of [0, 1]) {
      low[axis] = Math.min(low[axis], place[axis]);
      high[axis] = Math.max(high[axis], place[axis]);
    }
  }
  const extent = [high[0] - low[0], high[1] - low[1]];
  const scale = SAMPLES * (size - 2 * MARGIN) / (Math.max(...extent) || 1);
  for (let v = 0; v < n; v++) {
    for (const axis of [0, 1]) {
      points[3 * v + axis] = (points[3 * v + axis] - low[axis]) * scale + SAMPLES * MARGIN;
    }
  }
  const [width, height] = extent.map((x) => Math.ceil(x * scale / SAMPLES) + 2 * MARGIN);
  return { points, width, height };
}

/** How much light each vertex gives back: 1 where the surface faces the viewer, `1 − shading` where it is seen edge-on. */
function brightness(
  { vertices, faces }: Surface,
  { forward, shading }: { readonly forward: readonly number[]; readonly shading: number },
): Float32Array {
  const normals = new Float64Array(vertices.length);
  for (let at = 0; at < faces.length; at += 3) {
    const [a, b, c] = [faces[at], faces[at + 1], faces[at + 2]];
    const edge = (to: number, axis: number) => vertices[3 * to + axis] - vertices[3 * a + axis];
    for (let axis = 0; axis < 3; axis++) {
      const [i, j] = [(axis + 1) % 3, (axis + 2) % 3];
      // The cross product is as long as the face is large: a mean weighted by area.
      const part = edge(b, i) * edge(c, j) - edge(b, j) * edge(c, i);
      for (const v of [a, b, c]) normals[3 * v + axis] += part;
    }
  }
  const light = new Float32Array(vertices.length / 3);
  for (let v = 0; v < light.length; v++) {
    const [x, y, z] = normals.subarray(3 * v, 3 * v + 3);
    const facing = x * forward[0] + y * forward[1] + z * forward[2];
    // Files differ in which way triangles turn, so the sign says nothing.
    const cosine = Math.abs(facing) / (Math.hypot(x, y, z) || 1);
    light[v] = 1 - shading + shading * cosine;
  }
  return light;
}

/** Draws all faces into samples. */
function rasterize(
  { points, width, height }: Projection,
  { faces, colors, data }: {
    readonly faces: Uint32Array;
    readonly colors: Float32Array;
    readonly data: Float32Array;
  },
): void {
  const [columns, rows] = [width * SAMPLES, height * SAMPLES];
  const depth = new Float32Array(columns * rows).fill(Infinity);
  for (let at = 0; at < faces.length; at += 3) {
    const [a, b, c] = [3 * faces[at], 3 * faces[at + 1], 3 * faces[at + 2]];
    const [ax, ay, bx, by] = [points[a], points[a + 1], points[b], points[b + 1]];
    const [cx, cy] = [points[c], points[c + 1]];
    const area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax);
    if (area === 0) continue; // Seen edge-on.
    const right = Math.min(columns - 1, Math.floor(Math.max(ax, bx, cx)));
    const bottom = Math.min(rows - 1, Math.floor(Math.max(ay, by, cy)));
    for (let y = Math.max(0, Math.floor(Math.min(ay, by, cy))); y <= bottom; y++) {
      for (let x = Math.max(0, Math.floor(Math.min(ax, bx, cx))); x <= right; x++) {
        const [px, py] = [x + 0.5, y + 0.5];
        // Shares of the three corners at the middle of the sample.
        const wb = ((px - ax) * (cy - ay) - (py - ay) * (cx - ax)) / area;
        const wc = ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) / area;
        const wa = 1 - wb - wc;
        if (wa < 0 || wb < 0 || wc < 0) continue;
        const away = wa * points[a + 2] + wb * points[b + 2] + wc * points[c + 2];
        const sample = y * columns + x;
        if (!(away < depth[sample])) continue;
        depth[sample] = away;
        for (let i = 0; i < 3; i++) {
          data[3 * sample + i] = wa * colors[a + i] + wb * colors[b + i] + wc * colors[c + i];
        }
      }
    }
  }
}

/** Means of the samples of each pixel. */
function downsample(data: Float32Array, width: number, height: number): RgbImage {
  const pixels = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let i = 0; i < 3; i++) {
        let sum = 0;
        for (let dy = 0; dy < SAMPLES; dy++) {
          for (let dx = 0; dx < SAMPLES; dx++) {
            sum += data[3 * ((y * SAMPLES + dy) * width * SAMPLES + x * SAMPLES + dx) + i];
          }
        }
        pixels[3 * (y * width + x) + i] = Math.round(sum / SAMPLES ** 2);
      }
    }
  }
  return { width, height, data: pixels };
}

/**
 * A picture of a surface with a colour for every vertex, blended across faces. Light comes from the viewer; flat surfaces are not
 * shaded.
 *
 * @param colors R, G, B of each vertex, `[nVertices, 3]` bytes
 * @throws {InputError} when there is not one colour per vertex, or an option is out of range
 */
export function renderSurface(
  surface: Surface,
  colors: Uint8Array,
  {
    view = "lateral",
    hemisphere = "left",
    size = 480,
    background = [255, 255, 255],
    shading = 0.55,
  }: RenderSurfaceOptions = {},
): RgbImage {
  const { vertices, faces } = surface;
  checkSurface(surface, "Cannot draw the surface:");
  if (colors.length !== vertices.length) {
    throw new InputError(
      `Cannot draw the surface: ${vertices.length / 3} vertices need as many colours, got ${
        colors.length / 3
      }`,
    );
  }
  const isSize = Number.isInteger(size) && size >= 16 && size <= MAX_SIZE;
  if (!isSize || !(shading >= 0 && shading <= 1) || !surfaceViews.includes(view)) {
    throw new InputError(
      `Cannot draw the surface: it needs a size of 16 to ${MAX_SIZE}, shading of 0 to 1 and a view of ${
        surfaceViews.join(", ")
      }, got ${size}, ${shading} and ${view}`,
    );
  }
  let isFlat = true;
  for (let at = 2; at < vertices.length && isFlat; at += 3) isFlat = vertices[at] === vertices[2];
  const camera = cameraOf(isFlat ? "flat" : view, hemisphere);
  const projection = project(vertices, { ...camera, size });
  const light = brightness(surface, { forward: camera.forward, shading: isFlat ? 0 : shading });
  const lit = Float32Array.from(colors, (value, i) => value * light[Math.floor(i / 3)]);
  const { width, height } = projection;
  const data = new Float32Array(width * height * SAMPLES ** 2 * 3);
  for (let i = 0; i < data.length; i++) data[i] = background[i % 3];
  rasterize(projection, { faces, colors: lit, data });
  return downsample(data, width, height);
}
