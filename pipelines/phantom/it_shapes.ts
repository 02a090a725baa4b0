/**
 * Silhouettes of the categories that simulated inferior temporal cortex is shown: plates that fill the unit circle.
 *
 * No silhouette looks like itself when it is turned by less than a third of a circle, so that its rotation can be seen.
 */
import { box, capsule, ellipse, polygon, type Shape, subtract } from "./shapes.ts";

/** Signed distance of a silhouette in object units, negative inside; v points down. */
export type Silhouette = (u: number, v: number) => number;

/** What lies in any of the shapes. */
function union(...shapes: readonly Shape[]): Silhouette {
  return (u, v) => {
    let distance = Infinity;
    for (const { sdf } of shapes) distance = Math.min(distance, sdf(u, v));
    return distance;
  };
}

function animal(): Silhouette { // A fish, head to the left.
  const tail = polygon([[0.3, 0], [0.98, -0.55], [0.98, 0.55]]);
  const notch = polygon([[0.7, 0], [1.3, -0.4], [1.3, 0.4]]);
  const fin = polygon([[-0.35, -0.3], [0.25, -0.85], [0.3, -0.2]]);
  return union(ellipse(-0.25, 0.05, 0.72, 0.4), subtract(tail, notch), fin);
}

function boat(): Silhouette {
  const hull = polygon([[-0.95, 0.25], [0.95, 0.25], [0.5, 0.8], [-0.6, 0.8]]);
  const sail = polygon([[-0.05, -0.95], [-0.05, 0.1], [0.72, 0.1]]);
  const jib = polygon([[-0.25, -0.55], [-0.25, 0.1], [-0.7, 0.1]]);
  return union(hull, sail, jib);
}

function car(): Silhouette { // A pick-up, its cabin to the left.
  const wheels = [ellipse(-0.5, 0.42, 0.27), ellipse(0.52, 0.42, 0.27)];
  return union(box(0, 0.12, 0.96, 0.24, 0.1), box(-0.38, -0.3, 0.42, 0.32, 0.12), ...wheels);
}

function chair(): Silhouette {
  const legs = [box(-0.46, 0.5, 0.19, 0.45), box(0.52, 0.5, 0.19, 0.45)];
  return union(box(-0.46, -0.3, 0.21, 0.65, 0.05), box(0.02, 0.12, 0.69, 0.21, 0.05), ...legs);
}

function face(): Silhouette {
  const mouth = subtract(ellipse(0, 0.3, 0.44, 0.34), ellipse(0, 0.1, 0.6, 0.34));
  const holes = [ellipse(-0.32, -0.22, 0.17, 0.2), ellipse(0.32, -0.22, 0.17, 0.2), mouth];
  const head = ellipse(0, 0, 0.8, 0.95);
  return union(holes.reduce(subtract, head));
}

function fruit(): Silhouette { // A pear with its stalk and a leaf.
  const stalk = capsule(0, -0.6, 0.1, -0.95, 0.08);
  const leaf = ellipse(0.38, -0.78, 0.32, 0.13, -0.35);
  return union(ellipse(0, 0.38, 0.62, 0.57), ellipse(0, -0.2, 0.36, 0.48), stalk, leaf);
}

function plane(): Silhouette { // Seen from above, its nose up.
  const wings = polygon([[-0.95, 0.3], [0, -0.35], [0.95, 0.3], [0.95, 0.42], [-0.95, 0.42]]);
  const inner = polygon([[-0.95, 0.75], [0, 0.15], [0.95, 0.75]]);
  const tail = polygon([[-0.4, 0.95], [0, 0.55], [0.4, 0.95]]);
  return union(capsule(0, -0.82, 0, 0.75, 0.16), subtract(wings, inner), tail);
}

function table(): Silhouette { // A round one on a foot.
  return union(
    box(0, -0.42, 0.9, 0.24, 0.08),
    box(0, 0.15, 0.2, 0.6),
    polygon([[-0.6, 0.85], [0, 0.3], [0.6, 0.85]]),
  );
}

/** Silhouette of each category; the names are those of the HvM images, of which these stand for. */
export const IT_SHAPES: Readonly<Record<string, Silhouette>> = {
  animal: animal(),
  boat: boat(),
  car: car(),
  chair: chair(),
  face: face(),
  fruit: fruit(),
  plane: plane(),
  table: table(),
};
