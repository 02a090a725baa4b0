/**
 * Where a surface is looked at from.
 *
 * @module
 */

/** A side that a brain is shown from; `flat` looks down on a flattened patch. */
export type SurfaceView =
  | "lateral"
  | "medial"
  | "ventral"
  | "dorsal"
  | "anterior"
  | "posterior"
  | "flat";

/** The views, for help texts. */
export const surfaceViews: readonly SurfaceView[] = [
  "lateral",
  "medial",
  "ventral",
  "dorsal",
  "anterior",
  "posterior",
  "flat",
];

/** Which half of the brain a surface is: it says where lateral is. */
export type Hemisphere = "left" | "right";

/** Unit vectors of the picture in the surface's coordinates: x right, y to the front, z upward. */
export interface Camera {
  /** To the right of the picture. */
  readonly right: readonly [number, number, number];
  /** To the top of the picture. */
  readonly up: readonly [number, number, number];
  /** Into the picture. */
  readonly forward: readonly [number, number, number];
}

/** From the left side: the front of the brain on the left of the picture. */
const FROM_LEFT: Camera = { right: [0, -1, 0], up: [0, 0, 1], forward: [1, 0, 0] };
const FROM_RIGHT: Camera = { right: [0, 1, 0], up: [0, 0, 1], forward: [-1, 0, 0] };
const FIXED: Readonly<Record<Exclude<SurfaceView, "lateral" | "medial">, Camera>> = {
  // From below with the front on top, so that the brain's left is on the right.
  ventral: { right: [-1, 0, 0], up: [0, 1, 0], forward: [0, 0, 1] },
  dorsal: { right: [1, 0, 0], up: [0, 1, 0], forward: [0, 0, -1] },
  anterior: { right: [-1, 0, 0], up: [0, 0, 1], forward: [0, -1, 0] },
  posterior: { right: [1, 0, 0], up: [0, 0, 1], forward: [0, 1, 0] },
  flat: { right: [1, 0, 0], up: [0, 1, 0], forward: [0, 0, -1] },
};

/** The directions of a view. */
export function cameraOf(view: SurfaceView, hemisphere: Hemisphere): Camera {
  if (view === "lateral") return hemisphere === "left" ? FROM_LEFT : FROM_RIGHT;
  if (view === "medial") return hemisphere === "left" ? FROM_RIGHT : FROM_LEFT;
  return FIXED[view];
}
