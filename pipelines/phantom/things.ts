/** Signs with words, and things: boxes, cylinders, tools. */

import { type ColorName, COLORS } from "./palette.ts";
import { box, capsule, ellipse, mix, type Part, part, polygon, type Rgb } from "./shapes.ts";
import { subtract, type Texture } from "./shapes.ts";

// Strokes on a grid of 2 × 4: pairs of points "xy-xy", x in 0…2, y in 0…4.
const GLYPHS: Readonly<Record<string, string>> = {
  A: "04-10 10-24 03-23",
  B: "00-04 00-20 20-22 02-22 22-24 24-04",
  C: "20-00 00-04 04-24",
  D: "00-04 00-10 10-21 21-23 23-14 14-04",
  E: "20-00 00-04 04-24 02-12",
  F: "20-00 00-04 02-12",
  G: "20-00 00-04 04-24 24-22 22-12",
  H: "00-04 20-24 02-22",
  I: "10-14 00-20 04-24",
  K: "00-04 20-02 02-24",
  L: "00-04 04-24",
  M: "04-00 00-12 12-20 20-24",
  N: "04-00 00-24 24-20",
  O: "00-20 20-24 24-04 04-00",
  P: "04-00 00-20 20-22 22-02",
  R: "04-00 00-20 20-22 22-02 02-24",
  S: "20-00 00-02 02-22 22-24 24-04",
  T: "00-20 10-14",
  U: "00-04 04-24 24-20",
  V: "00-14 14-20",
  W: "00-04 04-12 12-24 24-20",
  X: "00-24 20-04",
  Y: "00-12 20-12 12-14",
  Z: "00-20 20-04 04-24",
};
const WORDS = (
  "OPEN STOP EXIT CAFE TAXI NEWS MENU HOTEL PARK ZOO MUSIC RADIO SHOP NORTH SOUTH EAST WEST LIFT TRAM PIANO CLUB " +
  "POST GATE ROOM SALE HELLO BANK BUS CITY DANCE FARM GARDEN LAKE MAIN OCEAN PLAY RIVER SCHOOL TOWN VIEW WATER"
).split(" ");

/**
 * A sign with one or two rows of letters.
 * @param color the sign's colour word
 * @param next uniform numbers in [0, 1) that choose everything else
 */
export function buildWord(color: ColorName, next: () => number): Part[] {
  const board = COLORS[color];
  const light = 0.2126 * board[0] + 0.7152 * board[1] + 0.0722 * board[2];
  const ink: Rgb = light > 0.5 ? [0.08, 0.08, 0.12] : [0.98, 0.97, 0.92];
  const rows = next() < 0.5 ? 1 : 2;
  const height = rows === 1 ? 0.36 : 0.6;
  const parts: Part[] = [];
  if (next() < 0.4) parts.push(part(box(0, 0.75, 0.05, 0.4), [0.45, 0.42, 0.4], { shade: 0.3 }));
  const round = next() < 0.5 ? 0.03 : 0.14;
  parts.push(part(box(0, 0.03, 0.98, height, round), mix(board, [0, 0, 0], 0.45), { shade: 0 }));
  parts.push(part(box(0, 0, 0.98, height, round), board, { shade: 0.1 }));
  if (next() < 0.6) {
    const border = subtract(
      box(0, 0, 0.93, height - 0.05, round),
      box(0, 0, 0.89, height - 0.09, round),
    );
    parts.push(part(border, ink, { shade: 0 }));
  }
  const tall = rows === 1 ? 0.42 : 0.38;
  for (let row = 0; row < rows; row++) {
    const word = WORDS[Math.floor(next() * WORDS.length)];
    const pitch = 1.66 / Math.max(4, word.length);
    const y = rows === 1 ? 0 : (row - 0.5) * 0.52;
    for (let i = 0; i < word.length; i++) {
      const x = (i - (word.length - 1) / 2) * pitch;
      parts.push(...glyph(word[i], x, y, pitch * 0.3, tall / 2, ink));
    }
  }
  return parts;
}

function glyph(letter: string, x: number, y: number, hx: number, hy: number, ink: Rgb): Part[] {
  return GLYPHS[letter].split(" ").map((stroke) => {
    const [a, b, , c, d] = stroke;
    const at = (gx: string, gy: string): [number, number] => [
      x + (Number(gx) - 1) * hx,
      y + (Number(gy) / 2 - 1) * hy,
    ];
    return part(capsule(...at(a, b), ...at(c, d), 0.048), ink, { shade: 0 });
  });
}

/** The kinds of things, by the word that names them. */
export const THINGS = ["box", "can", "cup", "bottle", "hammer", "wrench"] as const;

/** A kind of thing. */
export type ThingKind = typeof THINGS[number];

/**
 * A thing of a kind.
 * @param color its colour word
 * @param texture a pattern for its body, if any
 * @param next uniform numbers in [0, 1) that choose everything else
 */
export function buildThing(
  kind: ThingKind,
  color: ColorName,
  texture: Texture["kind"] | undefined,
  next: () => number,
): Part[] {
  const paint = COLORS[color];
  const second = mix(paint, color === "white" ? [0.3, 0.4, 0.6] : [1, 1, 1], 0.55);
  const pattern = texture && {
    kind: texture,
    color: second,
    frequency: 1.8 + 1.6 * next(),
    angle: next() * Math.PI,
  };
  if (kind === "box") return cuboid(paint, pattern, next);
  if (kind === "can") return can(paint, pattern, next);
  if (kind === "cup") return cup(paint, pattern, next);
  if (kind === "bottle") return bottle(paint, pattern, next);
  if (kind === "hammer") return hammer(paint, next);
  return wrench(paint, next);
}

function cuboid(paint: Rgb, texture: Texture | undefined, next: () => number): Part[] {
  const w = 0.5 + 0.2 * next();
  const h = 0.4 + 0.2 * next();
  const dx = 0.3 * (next() < 0.5 ? -1 : 1);
  const dy = 0.22 + 0.12 * next();
  const x = -dx / 2;
  const y = dy / 2;
  const edge = x + w * Math.sign(dx);
  return [
    part(
      polygon([[edge, y - h], [edge + dx, y - h - dy], [edge + dx, y + h - dy], [edge, y + h]]),
      mix(paint, [0, 0, 0], 0.4),
      { shade: 0.1, rim: 0.02 },
    ),
    part(
      polygon([[x - w, y - h], [x - w + dx, y - h - dy], [x + w + dx, y - h - dy], [x + w, y - h]]),
      mix(paint, [1, 1, 1], 0.35),
      { shade: 0.1, rim: 0.02 },
    ),
    part(box(x, y, w, h), paint, { shade: 0.16, rim: 0.03, texture }),
  ];
}

function cylinder(
  paint: Rgb,
  texture: Texture | undefined,
  r: number,
  h: number,
  top: Rgb,
): Part[] {
  const flat = r * 0.32;
  return [
    part(ellipse(0, h, r, flat), mix(paint, [0, 0, 0], 0.3), { shade: 0.3 }),
    part(box(0, 0, r, h), paint, { shade: 0.3, texture }),
    part(box(-r * 0.45, 0, r * 0.12, h), mix(paint, [1, 1, 1], 0.45), { shade: 0.1 }),
    part(box(r * 0.86, 0, r * 0.14, h), mix(paint, [0, 0, 0], 0.35), { shade: 0 }),
    part(ellipse(0, -h, r, flat), mix(top, [1, 1, 1], 0.25), { shade: 0.1, rim: 0.03 }),
  ];
}

function can(paint: Rgb, texture: Texture | undefined, next: () => number): Part[] {
  const r = 0.4 + 0.14 * next();
  const h = 0.55 + 0.2 * next();
  return [
    ...cylinder(paint, texture, r, h, [0.72, 0.74, 0.77]),
    part(ellipse(0, -h, r * 0.82, r * 0.25), [0.6, 0.62, 0.66], { shade: -0.25 }),
  ];
}

function cup(paint: Rgb, texture: Texture | undefined, next: () => number): Part[] {
  const side = next() < 0.5 ? -1 : 1;
  const handle = subtract(
    ellipse(side * 0.56, 0.02, 0.34, 0.36),
    ellipse(side * 0.56, 0.02, 0.2, 0.22),
  );
  return [
    part(handle, mix(paint, [0, 0, 0], 0.15), { shade: 0.25, rim: 0.03 }),
    ...cylinder(paint, texture, 0.52, 0.52, paint),
    part(ellipse(0, -0.52, 0.45, 0.13), mix(paint, [0, 0, 0], 0.45), { shade: -0.3 }),
  ];
}

function bottle(paint: Rgb, texture: Texture | undefined, next: () => number): Part[] {
  const r = 0.28 + 0.1 * next();
  const neck = 0.1 + 0.04 * next();
  return [
    part(polygon([[-r, -0.15], [r, -0.15], [neck, -0.55], [-neck, -0.55]]), paint, { shade: 0.3 }),
    part(box(0, -0.66, neck, 0.2), paint, { shade: 0.3 }),
    part(box(0, -0.88, neck * 1.25, 0.09, 0.03), [0.8, 0.78, 0.72], { shade: 0.3 }),
    part(box(0, 0.38, r, 0.56, 0.08), paint, { shade: 0.35, rim: 0.03 }),
    part(box(0, 0.4, r, 0.28), mix(paint, [1, 1, 1], 0.75), { shade: 0.2, texture }),
    part(box(-r * 0.6, 0.38, r * 0.1, 0.48, 0.03), mix(paint, [1, 1, 1], 0.6), { shade: 0 }),
  ];
}

function hammer(paint: Rgb, next: () => number): Part[] {
  const steel: Rgb = mix([0.62, 0.65, 0.7], [0.4, 0.42, 0.46], next());
  const thick = 0.085 + 0.04 * next();
  return [
    part(capsule(0, -0.6, 0, 0.85, thick), [0.72, 0.52, 0.3], { shade: 0.2, rim: 0.02 }),
    part(capsule(0, 0.3, 0, 0.86, thick * 1.35), paint, { shade: 0.35, rim: 0.03 }),
    part(polygon([[0.1, -0.82], [0.62, -0.62], [0.66, -0.54], [0.1, -0.54]]), steel, { rim: 0.03 }),
    part(box(-0.12, -0.68, 0.3, 0.15, 0.03), steel, { shade: 0.35, rim: 0.03 }),
    part(box(-0.47, -0.68, 0.09, 0.2, 0.04), mix(steel, [1, 1, 1], 0.2), { rim: 0.03 }),
  ];
}

function wrench(paint: Rgb, next: () => number): Part[] {
  const jaw = 0.3 + 0.06 * next();
  const open = box(0, -0.95, jaw * 0.42, 0.34);
  const ring = ellipse(0, 0.74, 0.11);
  return [
    part(capsule(0, -0.45, 0, 0.7, 0.13, 0.12), paint, { shade: 0.35, rim: 0.03 }),
    part(capsule(0, -0.3, 0, 0.5, 0.045), mix(paint, [0, 0, 0], 0.3), { shade: 0 }),
    part(subtract(ellipse(0, 0.74, 0.24), ring), paint, { shade: 0.3, rim: 0.03 }),
    part(subtract(ellipse(0, -0.66, jaw, jaw * 0.95), open), paint, { shade: 0.3, rim: 0.03 }),
  ];
}
