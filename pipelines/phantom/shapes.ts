/**
 * Plane shapes as signed distances, and the paint on them.
 *
 * Coordinates are an object's own: the origin is its centre, v points down, and the object fits the unit circle.
 */

/** A colour, each channel in [0, 1]. */
export type Rgb = readonly [number, number, number];

/** A shape: negative inside, with a circle that bounds it and centres its shading. */
export interface Shape {
  /** Approximate signed distance in object units, negative inside. */
  readonly sdf: (u: number, v: number) => number;
  /** Centre. */
  readonly cx: number;
  /** Centre. */
  readonly cy: number;
  /** Radius of a circle about the centre that holds the shape. */
  readonly radius: number;
}

/** A second colour laid over the first in a regular pattern. */
export interface Texture {
  /** The pattern. */
  readonly kind: "stripes" | "dots" | "checks";
  /** The second colour. */
  readonly color: Rgb;
  /** Periods per object unit. */
  readonly frequency: number;
  /** Radians. */
  readonly angle: number;
}

/** A painted shape; an object is a list of them, the last on top. */
export interface Part {
  /** Where it is. */
  readonly shape: Shape;
  /** Its colour. */
  readonly color: Rgb;
  /** Strength of the light-to-dark gradient across the shape, 0 = flat. */
  readonly shade: number;
  /** Width of the darkened rim in object units. */
  readonly rim: number;
  /** A pattern over the colour. */
  readonly texture?: Texture;
}

/** An ellipse of radii rx, ry, turned by angle. */
export function ellipse(cx: number, cy: number, rx: number, ry = rx, angle = 0): Shape {
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  const small = Math.min(rx, ry);
  const sdf = (u: number, v: number): number => {
    const a = (cos * (u - cx) + sin * (v - cy)) / rx;
    const b = (cos * (v - cy) - sin * (u - cx)) / ry;
    return (Math.sqrt(a * a + b * b) - 1) * small;
  };
  return { sdf, cx, cy, radius: Math.max(rx, ry) };
}

/** A thick line from a to b whose half-width runs from ra to rb, with round ends. */
export function capsule(
  ax: number,
  ay: number,
  bx: number,
  by: number,
  ra: number,
  rb = ra,
): Shape {
  const dx = bx - ax;
  const dy = by - ay;
  const length2 = Math.max(dx * dx + dy * dy, 1e-12);
  const sdf = (u: number, v: number): number => {
    const t = Math.min(1, Math.max(0, ((u - ax) * dx + (v - ay) * dy) / length2));
    const x = u - ax - t * dx;
    const y = v - ay - t * dy;
    return Math.sqrt(x * x + y * y) - (ra + t * (rb - ra));
  };
  const radius = Math.sqrt(length2) / 2 + Math.max(ra, rb);
  return { sdf, cx: (ax + bx) / 2, cy: (ay + by) / 2, radius };
}

/** A rectangle of half-sizes hx, hy with rounded corners, turned by angle. */
export function box(
  cx: number,
  cy: number,
  hx: number,
  hy: number,
  round = 0,
  angle = 0,
): Shape {
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  const sdf = (u: number, v: number): number => {
    const x = Math.abs(cos * (u - cx) + sin * (v - cy)) - hx + round;
    const y = Math.abs(cos * (v - cy) - sin * (u - cx)) - hy + round;
    if (x <= 0 || y <= 0) return Math.max(x, y) - round;
    return Math.sqrt(x * x + y * y) - round;
  };
  return { sdf, cx, cy, radius: Math.hypot(hx, hy) };
}

/** A convex polygon, its corners in either direction of turn. */
export function polygon(points: readonly (readonly [number, number])[]): Shape {
  const n = points.length;
  const cx = points.reduce((sum, p) => sum + p[0], 0) / n;
  const cy = points.reduce((sum, p) => sum + p[1], 0) / n;
  const edges = points.map(([x, y], i) => {
    const [x2, y2] = points[(i + 1) % n];
    const length = Math.hypot(x2 - x, y2 - y) || 1;
    const nx = (y2 - y) / length;
    const ny = (x - x2) / length;
    const outward = nx * (cx - x) + ny * (cy - y) > 0 ? -1 : 1;
    return { x, y, nx: nx * outward, ny: ny * outward };
  });
  const sdf = (u: number, v: number): number => {
    let distance = -Infinity;
    for (const e of edges) distance = Math.max(distance, (u - e.x) * e.nx + (v - e.y) * e.ny);
    return distance;
  };
  return { sdf, cx, cy, radius: Math.max(...points.map(([x, y]) => Math.hypot(x - cx, y - cy))) };
}

/** What lies in both shapes, shaded like the first. */
export function intersect(a: Shape, b: Shape): Shape {
  return { ...a, sdf: (u, v) => Math.max(a.sdf(u, v), b.sdf(u, v)) };
}

/** What lies in the first shape and not in the second. */
export function subtract(a: Shape, b: Shape): Shape {
  return { ...a, sdf: (u, v) => Math.max(a.sdf(u, v), -b.sdf(u, v)) };
}

/** Puts paint on a shape. */
export function part(
  shape: Shape,
  color: Rgb,
  paint: { shade?: number; rim?: number; texture?: Texture } = {},
): Part {
  return { shape, color, shade: paint.shade ?? 0.22, rim: paint.rim ?? 0, texture: paint.texture };
}

/** Whether the second colour of a texture shows at a point. */
export function textureAt(texture: Texture, u: number, v: number): boolean {
  const cos = Math.cos(texture.angle) * texture.frequency;
  const sin = Math.sin(texture.angle) * texture.frequency;
  const a = cos * u + sin * v;
  const b = cos * v - sin * u;
  const fa = a - Math.floor(a);
  const fb = b - Math.floor(b);
  if (texture.kind === "stripes") return fa < 0.5;
  if (texture.kind === "checks") return (fa < 0.5) !== (fb < 0.5);
  return (fa - 0.5) ** 2 + (fb - 0.5) ** 2 < 0.09;
}

/** A colour between two, t in [0, 1]. */
export function mix(a: Rgb, b: Rgb, t: number): Rgb {
  return [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t];
}

/** A colour from hue, saturation and value, each in [0, 1]. */
export function hsv(hue: number, saturation: number, value: number): Rgb {
  const channel = (offset: number): number => {
    const k = (offset + hue * 6) % 6;
    return value * (1 - saturation * Math.max(0, Math.min(k, 4 - k, 1)));
  };
  return [channel(5), channel(3), channel(1)];
}
