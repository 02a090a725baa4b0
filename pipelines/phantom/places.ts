/** Places: rooms and landscapes, drawn by perspective so that every point has a depth. */

import type { BackgroundPainter } from "./backgrounds.ts";
import type { Draws } from "./draws.ts";
import { tabulate, valueNoise } from "./noise.ts";
import { hsv, mix, type Rgb } from "./shapes.ts";

/** The kinds of place, by the word that names them; the first two are indoors. */
export const PLACES = ["room", "hallway", "hills", "city", "beach"] as const;

/** A kind of place. */
export type PlaceKind = typeof PLACES[number];

/** Whether a place is indoors. */
export function isIndoor(kind: string): boolean {
  return kind === "room" || kind === "hallway";
}

const NEAR = 0.6; // Backgrounds begin behind every object.

/** Makes the painter of a place. */
export function buildPlace(kind: PlaceKind, draws: Draws): BackgroundPainter {
  if (kind === "room") return interior(draws, draws.uniform(0.24, 0.34), false);
  if (kind === "hallway") return interior(draws, draws.uniform(0.09, 0.14), true);
  if (kind === "hills") return hills(draws);
  if (kind === "city") return city(draws);
  return beach(draws);
}

function set(out: Float64Array, color: Rgb, light: number, depth: number): void {
  for (let c = 0; c < 3; c++) out[c] = Math.min(1, color[c] * light);
  out[3] = depth;
}

/** A box seen from inside: back wall, side walls, floor with boards, ceiling. */
function interior(draws: Draws, half: number, corridor: boolean): BackgroundPainter {
  const vx = draws.uniform(0.4, 0.6);
  const vy = draws.uniform(0.4, 0.5);
  const hy = half * (corridor ? 1.25 : 0.85);
  const wall = hsv(draws.uniform(), draws.uniform(0.06, 0.3), draws.uniform(0.62, 0.86));
  const wood = mix([0.55, 0.37, 0.22], [0.72, 0.6, 0.46], draws.uniform());
  const tiled = draws.uniform() < 0.4;
  const boards = draws.uniform(3, 6);
  const feature = draws.integer(3); // Window, door, picture.
  const fx = draws.uniform(-0.45, 0.45);
  const accent = hsv(draws.uniform(), 0.45, 0.6);
  const doors = corridor ? 3 : draws.uniform() < 0.5 ? 1 : 0;
  return (x, y, out) => {
    const dx = (x - vx) / half;
    const dy = (y - vy) / hy;
    const reach = Math.max(Math.abs(dx), Math.abs(dy)); // 1 on the back wall's edge.
    if (reach <= 1) return backWall(dx, dy, out, { wall, accent, feature, fx, corridor });
    const z = 1 / reach; // Distance along the room: 1 at the back wall, 0 at the camera.
    const depth = NEAR + 0.38 * z;
    const dim = 1.04 - 0.3 * z - (reach < 1.04 ? 0.14 : 0);
    if (Math.abs(dy) >= Math.abs(dx)) {
      if (dy < 0) return set(out, mix(wall, [0.97, 0.97, 0.95], 0.6), dim, depth);
      const across = dx * z * boards;
      const along = tiled ? 2.2 / z : 0;
      const odd = ((Math.floor(across) + Math.floor(along)) & 1) !== 0;
      return set(out, odd ? wood : mix(wood, [0.1, 0.06, 0.03], 0.22), dim, depth);
    }
    const along = 1 / z - 1;
    const up = -dy * z;
    const door = doors > 0 && up < 0.45 && (along * 1.1) % 1 > 0.35 && (along * 1.1) % 1 < 0.75 &&
      along * 1.1 < doors;
    const side = dx < 0 ? 0.9 : 0.78;
    set(
      out,
      door ? accent : up < -0.9 ? mix(wall, [0.2, 0.15, 0.1], 0.5) : wall,
      side * dim,
      depth,
    );
  };
}

function backWall(
  dx: number,
  dy: number,
  out: Float64Array,
  look: { wall: Rgb; accent: Rgb; feature: number; fx: number; corridor: boolean },
): void {
  const depth = look.corridor ? 1 : 0.98;
  const x = Math.abs(dx - (look.corridor ? 0 : look.fx));
  if (look.corridor) {
    if (x < 0.42 && dy > -0.45) return set(out, look.accent, x > 0.36 ? 0.7 : 1, depth);
  } else if (look.feature === 0) { // Window.
    if (x < 0.34 && dy > -0.7 && dy < 0.2) {
      const frame = x > 0.29 || dy < -0.64 || dy > 0.14 || x < 0.025 || Math.abs(dy + 0.25) < 0.03;
      return set(out, frame ? [0.96, 0.96, 0.94] : [0.68, 0.86, 0.98], 1, frame ? depth : 1);
    }
  } else if (look.feature === 1) { // Door.
    if (x < 0.24 && dy > -0.35) return set(out, look.accent, x > 0.2 ? 0.65 : 1, depth);
  } else if (x < 0.36 && dy > -0.55 && dy < 0.05) { // Picture.
    const frame = x > 0.31 || dy < -0.48 || dy > -0.02;
    return set(
      out,
      frame ? [0.35, 0.24, 0.14] : mix(look.accent, [0.9, 0.85, 0.6], 0.5 + dy),
      1,
      depth,
    );
  }
  set(out, look.wall, 0.8 - (dy > 0.93 ? 0.25 : 0), depth);
}

function sky(draws: Draws): (x: number, y: number, horizon: number) => Rgb {
  const evening = draws.uniform() < 0.25;
  const top: Rgb = evening ? [0.45, 0.42, 0.68] : [0.3, 0.58, 0.9];
  const low: Rgb = evening ? [0.99, 0.75, 0.55] : [0.8, 0.91, 0.98];
  const noise = valueNoise(draws);
  const clouds = draws.uniform(0.45, 0.75);
  const sunX = draws.uniform(0.1, 0.9);
  const sunY = draws.uniform(0.08, 0.22);
  return (x, y, horizon) => {
    let color = mix(top, low, Math.min(1, y / horizon));
    if ((x - sunX) ** 2 + (y - sunY) ** 2 < 0.0035) color = [1, 0.94, 0.7];
    const puff = 0.65 * noise(3.2 * x, 9 * y) + 0.35 * noise(9 * x, 22 * y + 40);
    const cover = Math.max(0, Math.min(1, (puff - clouds) * 6));
    return cover > 0 ? mix(color, [1, 1, 1], cover * 0.85) : color;
  };
}

/** Ridges of hills, each nearer and darker than the last, with trees on the nearest. */
function hills(draws: Draws): BackgroundPainter {
  const paintSky = sky(draws);
  const horizon = draws.uniform(0.42, 0.55);
  const noise = valueNoise(draws);
  const grass = hsv(draws.uniform(0.2, 0.36), draws.uniform(0.4, 0.6), draws.uniform(0.5, 0.66));
  const far: Rgb = mix([0.55, 0.65, 0.75], grass, 0.3);
  const ridges = [0.1, 0.03, -0.06].map((rise, i) => ({
    line: tabulate((x) =>
      horizon - rise - (0.13 - 0.03 * i) * (noise(x * (3 + i), i * 7.3) - 0.35)
    ),
    color: mix(far, grass, i / 2),
    depth: 0.97 - 0.05 * i,
  }));
  const trees = Array.from({ length: 4 + draws.integer(4) }, () => ({
    x: draws.uniform(),
    y: horizon + draws.uniform(0.09, 0.22),
    r: draws.uniform(0.035, 0.07),
  })).sort((a, b) => b.y - a.y);
  return (x, y, out) => {
    for (const tree of trees) {
      const dy = y - tree.y;
      if (dy > 0 || dy < -4.2 * tree.r) continue;
      const crown = (x - tree.x) ** 2 + (dy + 2.4 * tree.r) ** 2 * 0.55;
      if (crown < tree.r ** 2) {
        return set(out, [0.16, 0.4, 0.2], 1.15 + 4 * (tree.x - x), NEAR + 0.25);
      }
      if (dy > -2 * tree.r && Math.abs(x - tree.x) < tree.r * 0.2) {
        return set(out, [0.35, 0.24, 0.15], 1, NEAR + 0.25);
      }
    }
    let found = -1;
    for (let i = 0; i < ridges.length; i++) if (y > ridges[i].line(x)) found = i;
    if (found < 0) return set(out, paintSky(x, y, horizon), 1, 1);
    if (found < 2) return set(out, ridges[found].color, 1, ridges[found].depth);
    const t = Math.min(1, Math.max(0, (y - horizon) / (1 - horizon)));
    const tuft = 0.9 + 0.25 * noise((x - 0.5) * 24 / (0.3 + t), y * 30);
    set(out, grass, tuft * (0.8 + 0.3 * t), 0.87 - (0.87 - NEAR) * t);
  };
}

/** A street to the vanishing point with houses on both sides and a skyline behind. */
function city(draws: Draws): BackgroundPainter {
  const paintSky = sky(draws);
  const horizon = draws.uniform(0.52, 0.62);
  const vx = draws.uniform(0.4, 0.6);
  const noise = valueNoise(draws);
  const tone = draws.uniform();
  const skyline = tabulate((x) => horizon - 0.06 - 0.22 * noise(Math.floor(x * 13) * 3.7, 0.5));
  return (x, y, out) => {
    const side = Math.abs(x - vx) / (x < vx ? vx : 1 - vx); // 0 at the vanishing point, 1 at the edge.
    const z = Math.max(0.22, 1.12 - side); // 1 far, small near.
    const block = Math.floor(3.4 / (z + 0.12)) + (x < vx ? 50 : 0);
    const tall = 0.16 + 0.34 * noise(block * 5.1, 2.5);
    const roof = horizon - tall * (0.25 + 0.85 * side);
    const foot = horizon + 0.34 * side;
    if (side > 0.22 && y > roof && y < foot) {
      const paint = hsv(
        (tone + 0.13 * block) % 1,
        0.28,
        0.55 + 0.25 * noise(block * 1.7, 9.5),
      );
      const row = ((y - roof) / (foot - roof)) * 5;
      const column = (9 / (z + 0.12)) % 1;
      const lit = row % 1 > 0.3 && row % 1 < 0.78 && column > 0.25 && column < 0.75 && row < 4.6;
      return set(out, lit ? [0.99, 0.92, 0.66] : paint, x < vx ? 0.95 : 0.75, NEAR + 0.33 * z);
    }
    if (y < horizon) {
      if (y > skyline(x)) return set(out, [0.62, 0.67, 0.77], 1, 0.97);
      return set(out, paintSky(x, y, horizon), 1, 1);
    }
    const t = (y - horizon) / (1 - horizon);
    const lane = (x - vx) / (0.08 + 0.75 * t);
    const dash = Math.abs(lane) < 0.045 && (2.4 / (t + 0.12)) % 1 < 0.55;
    const ground: Rgb = Math.abs(lane) < 0.75 ? [0.33, 0.34, 0.37] : [0.66, 0.64, 0.61];
    set(out, dash ? [0.97, 0.93, 0.75] : ground, 0.92 + 0.15 * t, 0.93 - (0.93 - NEAR) * t);
  };
}

/** Sea under a sky, sand in front, waves between. */
function beach(draws: Draws): BackgroundPainter {
  const paintSky = sky(draws);
  const horizon = draws.uniform(0.38, 0.5);
  const shore = horizon + draws.uniform(0.16, 0.26);
  const tilt = draws.uniform(-0.14, 0.14);
  const noise = valueNoise(draws);
  const phase = draws.uniform(0, 6);
  const sea = hsv(draws.uniform(0.5, 0.58), 0.62, 0.66);
  const sand = mix([0.93, 0.84, 0.64], [0.85, 0.72, 0.52], draws.uniform());
  const palm = draws.uniform() < 0.5 ? draws.uniform(0.06, 0.2) : draws.uniform(0.8, 0.94);
  const islandX = draws.uniform(0.2, 0.8);
  const island = tabulate((x) => horizon - 0.07 * Math.exp(-(((x - islandX) / 0.13) ** 2)));
  return (x, y, out) => {
    const trunk = palm + 0.05 * Math.sin(4 * (y - 0.2));
    if (y > 0.24 && y < shore + 0.12 && Math.abs(x - trunk) < 0.012 + 0.012 * y) {
      return set(out, [0.5, 0.36, 0.22], 1, NEAR + 0.12);
    }
    const px = x - palm;
    const py = y - 0.24;
    const frond = px * px + 1.44 * py * py < 0.0225 ? Math.sqrt(px * px + 1.44 * py * py) : 1;
    if (frond < 1 && Math.abs(Math.sin(Math.atan2(py, px) * 3.5 + 0.4)) > 0.25 + 4.6 * frond) {
      return set(out, [0.16, 0.47, 0.24], 1.1, NEAR + 0.12);
    }
    const edge = shore + tilt * (x - 0.5) + 0.02 * Math.sin(9 * x + phase);
    if (y < horizon) {
      const hill = island(x);
      if (y > hill + 0.008) return set(out, [0.42, 0.55, 0.58], 1, 0.97);
      return set(out, paintSky(x, y, horizon), 1, 1);
    }
    const t = (y - horizon) / (1 - horizon);
    const depth = 0.95 - (0.95 - NEAR) * t;
    if (y < edge) {
      const foam = edge - y < 0.014 || noise(7 * x, 60 * (y + 0.1 * y * y)) > 0.8;
      return set(out, foam ? [0.93, 0.97, 0.97] : mix(sea, [0.75, 0.93, 0.9], t * 1.1), 1, depth);
    }
    const wet = y - edge < 0.03 ? 0.82 : 1;
    set(out, sand, wet * (0.93 + 0.12 * noise(22 * x, 30 * y)), depth);
  };
}
