/**
 * Pictures of values of voxels by what is known of where they lie: a flat map, surfaces, or slices of the volume.
 *
 * @module
 */
import type { ColormapName, ValueRange } from "../images/colormap.ts";
import { renderSurface } from "../images/render_surface.ts";
import type { Hemisphere, SurfaceView } from "../images/surface_view.ts";
import { curvatureColors, outlineRegions, vertexColors } from "../images/vertex_colors.ts";
import { volumeColorMosaic } from "../images/volume_mosaic.ts";
import { voxelsAtPoints } from "../images/sample_volume.ts";
import type { Surface } from "../io/mesh.ts";
import { type Plate, plates } from "../report/figure_block.ts";
import { flatMap, flatSpacing } from "../report/flat_map.ts";
import { type Html, html } from "../report/html.ts";
import type { StudyVoxels } from "./read_study.ts";

/** Colours of voxels: values by a colour map, or R, G, B as they are. */
export interface CortexPaint {
  /** One value per voxel; NaN is left grey. */
  readonly values?: ArrayLike<number>;
  /** Values of the first and the last colour. */
  readonly range?: ValueRange;
  /** The colours. */
  readonly colormap?: ColormapName;
  /** R, G, B instead of values, `[nVoxels, 3]` bytes. */
  readonly colors?: Uint8Array<ArrayBuffer>;
  /** What is shown, for readers who cannot see it. */
  readonly label: string;
}

/** Draws values of one subject's voxels. */
export interface CortexPainter {
  /** What it draws on, in words for the reader. */
  readonly about: string;
  /** Draws. */
  paint(paint: CortexPaint): Html;
}

/** A surface to draw on, with the places of its vertices among the voxels. */
export interface PaintedSurface {
  /** What is seen. */
  readonly surface: Surface;
  /** Which half it is. */
  readonly hemisphere: Hemisphere;
  /** Coordinates of its vertices, `[nVertices, 3]`: those of `affine`, or voxel indices without. */
  readonly points: Float32Array<ArrayBuffer>;
  /** From voxel indices to the coordinates, `[4, 4]`. */
  readonly affine?: readonly number[];
}

/** What a subject can be drawn on beside its flat map. */
export interface CortexDrawing {
  /** Surfaces. */
  readonly surfaces?: readonly PaintedSurface[];
  /** Grey values of the volume behind slices, `[Z, Y, X]`. */
  readonly anatomy?: ArrayLike<number>;
  /** From voxel indices to scanner coordinates: turns slices upright. */
  readonly affine?: readonly number[];
}

const VIEWS: readonly SurfaceView[] = ["lateral", "medial", "ventral"];
/** Pixels of the longer side of a view. */
const VIEW_SIZE = 320;
const MAX_SLICES = 16;
/** Pixels that slices may take together, and a voxel's edge at most. */
const SLICES_WIDTH = 960;
const SLICES_HEIGHT = 640;
const MOST_PIXELS = 8;
/** Dark ground of pictures, alike on light and dark pages, and the grey of voxels without a value on it. */
const GROUND = [32, 36, 42] as const;
const NO_VALUE = 84;

/** R, G, B of each voxel, and whether it has a colour. */
function coloured({ values, range, colormap, colors }: CortexPaint, n: number) {
  return {
    rgb: colors?.slice() ??
      vertexColors(values ?? new Float32Array(n).fill(NaN), { colormap, range }),
    isShown: (v: number) => colors !== undefined || !Number.isNaN(values?.[v] ?? NaN),
  };
}

function flatPainter({ places, roi, roiNames, r2 }: StudyVoxels, flat: Float32Array) {
  const spacing = flatSpacing(flat);
  const region = Array.from(roi, (r) => r < roiNames.length ? r : -1);
  const hemisphere = places.hemisphere ?? new Uint8Array(r2.length);
  return (paint: CortexPaint): Html =>
    html`<div class="plate">${
      flatMap({ flat, spacing, region, names: roiNames, hemisphere, ...paint })
    }</div>`;
}

function isFlat({ vertices }: Surface): boolean {
  for (let at = 5; at < vertices.length; at += 3) if (vertices[at] !== vertices[2]) return false;
  return true;
}

function surfacePainter(voxels: StudyVoxels, surfaces: readonly PaintedSurface[]) {
  const { volume } = voxels.places;
  const found = surfaces.map(({ points, affine }) =>
    volume ? voxelsAtPoints(points, { ...volume, affine }) : new Int32Array(points.length / 3)
  );
  const { roi, roiNames } = voxels;
  const regions = found.map((all) =>
    Array.from(all, (v) => v >= 0 && roi[v] < roiNames.length ? roi[v] + 1 : 0)
  );
  const ground = { size: VIEW_SIZE, background: GROUND };
  return (paint: CortexPaint): Html => {
    const { rgb, isShown } = coloured(paint, voxels.r2.length);
    const drawn = surfaces.flatMap(({ surface, hemisphere }, i): Plate[] => {
      const colors = curvatureColors(new Float32Array(surface.vertices.length / 3));
      found[i].forEach((v, vertex) => {
        if (v >= 0 && isShown(v)) colors.set(rgb.subarray(3 * v, 3 * v + 3), 3 * vertex);
      });
      const outlined = outlineRegions(colors, regions[i], surface);
      const views: readonly SurfaceView[] = isFlat(surface) ? ["flat"] : VIEWS;
      return views.map((view) => ({
        image: renderSurface(surface, outlined, { ...ground, view, hemisphere }),
        alt: `${paint.label}: ${hemisphere}, ${view}`,
        caption: `${hemisphere}, ${view}`,
      }));
    });
    return plates(drawn);
  };
}

function slicePainter(voxels: StudyVoxels, { anatomy, affine }: CortexDrawing) {
  const { volume } = voxels.places;
  return (paint: CortexPaint): Html => {
    const { rgb, isShown: hasColor } = coloured(paint, voxels.r2.length);
    if (!volume || (anatomy && !voxels.r2.some((_, v) => hasColor(v)))) {
      return html`<p class="note">No voxel has a value.</p>`;
    }
    // Over an anatomy, what has no value is left out; else it is what shows where the brain is.
    const isShown = (v: number) => anatomy === undefined || hasColor(v);
    voxels.r2.forEach((_, v) => {
      if (!hasColor(v)) rgb.fill(NO_VALUE, 3 * v, 3 * v + 3);
    });
    const draw = (scale: number, columns?: number) =>
      volumeColorMosaic(rgb, {
        ...{ ...volume, affine, anatomy, isShown, scale, columns },
        maxSlices: MAX_SLICES,
        background: GROUND,
      });
    const { image: row, slices: { length: n } } = draw(1, MAX_SLICES);
    const [width, height] = [row.width / Math.min(n, MAX_SLICES), row.height];
    const scaleOf = (columns: number) =>
      Math.min(SLICES_WIDTH / (columns * width), SLICES_HEIGHT / (Math.ceil(n / columns) * height));
    const columns = Array.from({ length: n }, (_, i) => i + 1)
      .reduce((best, c) => scaleOf(c) > scaleOf(best) ? c : best);
    const scale = Math.max(1, Math.min(MOST_PIXELS, Math.floor(scaleOf(columns))));
    const { image } = draw(scale, columns);
    return plates([{ image, alt: `${paint.label}: axial slices` }]);
  };
}

/** How a subject's voxels are drawn: on its flat map, else on surfaces, else in slices. */
export function cortexPainter(voxels: StudyVoxels, drawing: CortexDrawing = {}): CortexPainter {
  const { flat, volume } = voxels.places;
  if (drawing.surfaces && drawing.surfaces.length > 0 && volume) {
    const paint = surfacePainter(voxels, drawing.surfaces);
    return { about: "the given surfaces, regions outlined", paint };
  }
  if (flat) {
    return {
      about: "two flattened hemispheres, occipital poles in the middle",
      paint: flatPainter(voxels, flat),
    };
  }
  if (volume) {
    return {
      about: "axial slices of the volume from bottom to top, front up, left on the left",
      paint: slicePainter(voxels, drawing),
    };
  }
  return {
    about: "nothing: the study does not say where voxels lie",
    paint: () => html`<p class="note">The study does not say where voxels lie.</p>`,
  };
}
