/** The simulated cortical sheet: two flattened hemispheres and the regions on them. */

import { Draws } from "./draws.ts";

/**
 * The regions of interest, in label order. Names are the field's, but for the last four, which serve to test analyses: three follow a
 * property of images, and the voxels of "noise" nothing.
 */
export const ROIS = [
  "V1",
  "V2",
  "V3",
  "V4",
  "EBA",
  "FBA",
  "OFA",
  "FFA",
  "OPA",
  "PPA",
  "RSC",
  "OWFA",
  "VWFA",
  "food",
  "depth",
  "saturation",
  "luminance",
  "noise",
] as const;

/** The name of a region of interest. */
export type RoiName = typeof ROIS[number];

/** The property of images that drives a region: its mean over the pixels, liked by the anterior half and disliked by the posterior. */
export const ROI_PROPERTY = {
  depth: "depth",
  saturation: "saturation",
  luminance: "luminance",
} as const satisfies Partial<Record<RoiName, string>>;

/** The category that drives a region; early regions have none. */
export const ROI_CATEGORY = {
  EBA: "body",
  FBA: "body",
  OFA: "face",
  FFA: "face",
  OPA: "place",
  PPA: "place",
  RSC: "place",
  OWFA: "word",
  VWFA: "word",
  food: "food",
} as const satisfies Partial<Record<RoiName, string>>;

// Centre and radii (anterior, dorsal) of the ellipses that make each region, on a sheet that is 1.25 long
// (posterior to anterior) and 1 high (ventral to dorsal). The arrangement is the textbook one: early regions in bands
// around the occipital pole, lateral ones above, fusiform and parahippocampal ones below, RSC at the medial top.
const ELLIPSES: readonly (readonly [RoiName, number, number, number, number])[] = [
  ["V4", 0.47, 0.34, 0.085, 0.12],
  ["OFA", 0.53, 0.51, 0.085, 0.075],
  ["EBA", 0.6, 0.71, 0.13, 0.11],
  ["OPA", 0.44, 0.89, 0.12, 0.085],
  ["RSC", 0.85, 0.89, 0.12, 0.085],
  ["FBA", 0.84, 0.6, 0.11, 0.075],
  ["FFA", 0.83, 0.44, 0.12, 0.08],
  ["OWFA", 0.64, 0.36, 0.075, 0.08],
  ["VWFA", 0.84, 0.29, 0.12, 0.065],
  ["food", 1.02, 0.4, 0.07, 0.13],
  ["food", 0.65, 0.2, 0.085, 0.075],
  ["PPA", 0.88, 0.12, 0.15, 0.09],
  ["depth", 1.12, 0.82, 0.1, 0.095],
  ["saturation", 1.14, 0.62, 0.09, 0.08],
  ["luminance", 1.17, 0.36, 0.065, 0.13],
  ["noise", 1.14, 0.1, 0.09, 0.08],
];
// Outer radii of the early bands around the pole; the vertical axis is squeezed to fit the sheet.
const BANDS: readonly (readonly [RoiName, number])[] = [["V1", 0.2], ["V2", 0.29], ["V3", 0.37]];
const LENGTH = 1.25;
const GAP = 0.08; // Half the distance between the hemispheres on the flat map.
const RETINOTOPIC = new Set<RoiName>(["V1", "V2", "V3", "V4"]);

/** Where the voxels of one subject are; every list has one entry per voxel. */
export interface CorticalSheet {
  /** Number of voxels. */
  readonly nVoxels: number;
  /** Index in `ROIS`. */
  readonly roi: Uint8Array<ArrayBuffer>;
  /** 0 = left, 1 = right. */
  readonly hemisphere: Uint8Array<ArrayBuffer>;
  /** Flat-map coordinates [n, 2]: x left to right with the occipital poles in the middle, y ventral to dorsal. */
  readonly flat: Float32Array<ArrayBuffer>;
  /** Distance between neighbouring voxels on the flat map. */
  readonly spacing: number;
  /** Population receptive field [n, 3]: centre x and y (image fractions, y down), standard deviation; NaN if none. */
  readonly prf: Float32Array<ArrayBuffer>;
  /** Shape of the volume that holds the sheet: [Z ventral to dorsal, Y posterior to anterior, X left, right]. */
  readonly volumeShape: readonly [number, number, number];
  /** C-order index of each voxel in the volume, increasing. */
  readonly volumeIndex: Uint32Array<ArrayBuffer>;
}

/** The region at a point, and how far along a band or ellipse it lies (0 inner edge or centre, 1 outer edge). */
function regionAt(
  a: number,
  d: number,
  shifts: readonly (readonly [number, number])[],
): { roi: RoiName; rho: number } | undefined {
  const radius = Math.hypot(a, (d - 0.5) * 0.85);
  let inner = 0;
  for (const [roi, outer] of BANDS) {
    if (radius < outer) return { roi, rho: (radius - inner) / (outer - inner) };
    inner = outer;
  }
  let best: { roi: RoiName; rho: number } | undefined;
  ELLIPSES.forEach(([roi, ca, cd, ra, rd], i) => {
    const rho = Math.hypot((a - ca - shifts[i][0]) / ra, (d - cd - shifts[i][1]) / rd);
    if (rho < (best?.rho ?? 1)) best = { roi, rho };
  });
  return best;
}

/**
 * Lays about `nVoxels` voxels on the sheet of a subject, whose regions are shifted a little from the group's.
 * @throws {RangeError} when nVoxels is too small for every region to hold a voxel
 */
export function corticalSheet(seed: number, subject: number, nVoxels: number): CorticalSheet {
  if (!Number.isInteger(nVoxels) || nVoxels < 150) {
    throw new RangeError(
      `Cannot lay out a cortex: nVoxels must be a whole number of at least 150, got ${nVoxels}`,
    );
  }
  const draws = new Draws(seed, 2, subject);
  const shifts = ELLIPSES.map(() => [0.014 * draws.normal(), 0.01 * draws.normal()] as const);
  // The regions cover about half of the sheet; the count decides the grid's pitch.
  const count = (rows: number): number => {
    let inside = 0;
    walk(rows, (_, a, d) => inside += regionAt(a, d, shifts) ? 2 : 0);
    return inside;
  };
  let rows = Math.floor(Math.sqrt(nVoxels / 2));
  while (count(rows) < nVoxels) rows++;
  while (count(rows - 1) >= nVoxels) rows--;
  return fill(rows, shifts, draws);
}

/** Visits the grid of one hemisphere in C order. */
function walk(rows: number, visit: (cell: number, a: number, d: number) => void): void {
  const columns = Math.round(LENGTH * rows);
  for (let z = 0; z < rows; z++) {
    for (let y = 0; y < columns; y++) visit(z * columns + y, (y + 0.5) / rows, (z + 0.5) / rows);
  }
}

function fill(
  rows: number,
  shifts: readonly (readonly [number, number])[],
  draws: Draws,
): CorticalSheet {
  const roi: number[] = [];
  const hemisphere: number[] = [];
  const flat: number[] = [];
  const prf: number[] = [];
  const volumeIndex: number[] = [];
  walk(rows, (cell, a, d) => {
    const region = regionAt(a, d, shifts);
    if (!region) return;
    for (const side of [0, 1]) {
      roi.push(ROIS.indexOf(region.roi));
      hemisphere.push(side);
      flat.push((side === 0 ? -1 : 1) * (GAP + a), d);
      prf.push(...receptiveField(region.roi, region.rho, a, d, side, draws));
      volumeIndex.push(2 * cell + side);
    }
  });
  return {
    nVoxels: roi.length,
    roi: Uint8Array.from(roi),
    hemisphere: Uint8Array.from(hemisphere),
    flat: Float32Array.from(flat),
    spacing: 1 / rows,
    prf: Float32Array.from(prf),
    volumeShape: [rows, Math.round(LENGTH * rows), 2],
    volumeIndex: Uint32Array.from(volumeIndex),
  };
}

/** Each hemisphere sees the opposite half of the image, its dorsal part the lower quarter. */
function receptiveField(
  roi: RoiName,
  rho: number,
  a: number,
  d: number,
  side: number,
  draws: Draws,
): [number, number, number] {
  if (!RETINOTOPIC.has(roi)) return [NaN, NaN, NaN];
  const jitter = 0.03 * draws.normal();
  const angle = roi === "V4"
    ? -Math.PI / 2 + Math.PI * draws.uniform()
    : Math.atan2((d - 0.5) * 0.85, a);
  const eccentricity = Math.min(0.92, Math.max(0.04, 0.08 + 0.8 * rho + jitter));
  const x = 0.5 + (side === 0 ? 0.5 : -0.5) * eccentricity * Math.cos(angle);
  const y = 0.5 + 0.5 * eccentricity * Math.sin(angle);
  const sigma = { V1: 0.05, V2: 0.065, V3: 0.085, V4: 0.12 }[roi as "V1" | "V2" | "V3" | "V4"];
  return [x, y, sigma * (0.8 + 0.6 * eccentricity)];
}
