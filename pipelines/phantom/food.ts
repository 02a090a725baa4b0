/** Food: plates with round items in saturated warm colours. */

import { box, ellipse, hsv, intersect, mix, type Part, part, polygon, type Rgb } from "./shapes.ts";
import { subtract } from "./shapes.ts";

const GREENS: readonly Rgb[] = [[0.35, 0.62, 0.16], [0.2, 0.5, 0.16]];

/** The kinds of food, by the word that names them. */
export const FOODS = ["pizza", "fruit", "donut", "burger"] as const;

/** A kind of food. */
export type FoodKind = typeof FOODS[number];

/**
 * Food of a kind, on a plate.
 * @param next uniform numbers in [0, 1) that choose everything else
 */
export function buildFood(kind: FoodKind, next: () => number): Part[] {
  const squash = 0.74 + 0.26 * next();
  const plate = mix([0.96, 0.95, 0.92], hsv(next(), 0.5, 0.85), next() < 0.3 ? 0.5 : 0.05);
  const parts: Part[] = [
    part(ellipse(0, 0.04, 1, squash), mix(plate, [0, 0, 0], 0.25), { shade: 0.1 }),
    part(ellipse(0, 0, 1, squash), plate, { shade: 0.14 }),
    part(ellipse(0, 0.01, 0.74, 0.74 * squash), mix(plate, [0, 0, 0], 0.1), { shade: -0.12 }),
  ];
  if (kind === "pizza") parts.push(...pizza(squash, next));
  else if (kind === "fruit") parts.push(...fruit(squash, next));
  else if (kind === "donut") parts.push(...donut(squash, next));
  else parts.push(...burger(next));
  return parts;
}

function pizza(squash: number, next: () => number): Part[] {
  const turn = next() * 2 * Math.PI;
  const round = (r: number) => ellipse(0, 0, r, r * squash);
  const a: [number, number] = [1.4 * Math.cos(turn), 1.4 * Math.sin(turn) * squash];
  const b: [number, number] = [1.4 * Math.cos(turn + 0.8), 1.4 * Math.sin(turn + 0.8) * squash];
  const slice = polygon([[0, 0], a, b]);
  const missing = next() < 0.6;
  const cut = (shape: ReturnType<typeof ellipse>) => missing ? subtract(shape, slice) : shape;
  const parts = [
    part(cut(round(0.84)), [0.8, 0.5, 0.2], { shade: 0.25, rim: 0.05 }),
    part(cut(round(0.73)), [0.85, 0.24, 0.1], { shade: 0.1 }),
    part(cut(round(0.69)), [0.98, 0.78, 0.3], { shade: 0.15 }),
  ];
  for (let i = 0; i < 9; i++) {
    const angle = turn + 0.8 + (i + 0.3 * next()) * 0.69;
    const r = (i % 2 ? 0.25 : 0.5) + 0.06 * next();
    const topping = ellipse(r * Math.cos(angle), r * Math.sin(angle) * squash, 0.13, 0.13 * squash);
    parts.push(part(cut(topping), [0.8, 0.15, 0.1], { shade: 0.3, rim: 0.03 }));
  }
  for (let i = 0; i < 6; i++) {
    const angle = turn + next() * 6.28;
    const r = 0.15 + 0.45 * next();
    const x = r * Math.cos(angle);
    const y = r * Math.sin(angle) * squash;
    parts.push(part(cut(ellipse(x, y, 0.07, 0.035, angle)), GREENS[i & 1], { shade: 0.2 }));
  }
  return parts;
}

function fruit(squash: number, next: () => number): Part[] {
  const parts: Part[] = [];
  const count = 5 + Math.floor(next() * 3);
  const spin = next() * 6.28;
  for (let i = 0; i < count; i++) {
    const inner = i === count - 1;
    const angle = spin + (i * 2 * Math.PI) / (count - 1);
    const r = inner ? 0 : 0.44;
    const x = r * Math.cos(angle);
    const y = r * Math.sin(angle) * squash - 0.06;
    const size = 0.24 + 0.07 * next();
    const hue = next() < 0.75 ? next() * 0.14 : 0.97 + 0.03 * next();
    const color = next() < 0.12 ? GREENS[0] : hsv(hue, 0.9, 0.92);
    parts.push(part(ellipse(x, y + 0.05, size, size * 0.95), mix(color, [0.1, 0, 0], 0.45)));
    parts.push(part(ellipse(x, y, size), color, { shade: 0.45, rim: 0.03 }));
    parts.push(
      part(ellipse(x - 0.08, y - 0.09, size * 0.24, size * 0.18), mix(color, [1, 1, 1], 0.6)),
    );
    parts.push(part(box(x + 0.02, y - size * 0.92, 0.02, 0.05), [0.3, 0.2, 0.08], { shade: 0 }));
    if (next() < 0.5) {
      const leaf = ellipse(x + 0.1, y - size * 0.92, 0.1, 0.045, -0.4);
      parts.push(part(leaf, GREENS[i & 1], { shade: 0.2 }));
    }
  }
  return parts;
}

function donut(squash: number, next: () => number): Part[] {
  const hole = ellipse(0, -0.02, 0.2, 0.2 * squash);
  const icing = hsv([0.95, 0.06, 0.02, 0.11][Math.floor(next() * 4)], 0.65 + 0.3 * next(), 0.9);
  const parts = [
    part(subtract(ellipse(0, 0.05, 0.72, 0.7 * squash), hole), [0.8, 0.52, 0.24], {
      shade: 0.35,
      rim: 0.05,
    }),
    part(
      subtract(ellipse(0, -0.03, 0.66, 0.62 * squash), ellipse(0, -0.02, 0.25, 0.25 * squash)),
      icing,
      {
        shade: 0.3,
        rim: 0.04,
      },
    ),
  ];
  for (let i = 0; i < 16; i++) {
    const angle = next() * 6.28;
    const r = 0.34 + 0.22 * next();
    const x = r * Math.cos(angle);
    const y = r * Math.sin(angle) * squash - 0.03;
    const color = hsv(next(), 0.7, 1);
    parts.push(part(ellipse(x, y, 0.06, 0.028, next() * 3), color, { shade: 0 }));
  }
  return parts;
}

function burger(next: () => number): Part[] {
  const bun: Rgb = mix([0.87, 0.58, 0.24], [0.75, 0.43, 0.16], next());
  const top = intersect(ellipse(0, -0.1, 0.66, 0.52), box(0, -0.42, 1, 0.34));
  const layers: [Rgb, number, number, number][] = [
    [[0.35, 0.65, 0.2], 0.3, 0.72, 0.06],
    [[0.36, 0.17, 0.08], 0.2, 0.66, 0.11],
    [[0.99, 0.76, 0.15], 0.09, 0.7, 0.045],
    [[0.86, 0.2, 0.14], 0.01, 0.64, 0.06],
  ];
  const parts = [part(box(0, 0.42, 0.62, 0.15, 0.12), bun, { shade: 0.3, rim: 0.03 })];
  for (const [color, y, hx, hy] of layers) {
    const wobble = (next() - 0.5) * 0.06;
    parts.push(part(box(wobble, y, hx, hy, hy * 0.9), color, { shade: 0.25, rim: 0.02 }));
  }
  parts.push(part(top, bun, { shade: 0.4, rim: 0.04 }));
  for (let i = 0; i < 8; i++) {
    const x = (i / 7 - 0.5) * 0.8 + (next() - 0.5) * 0.08;
    const y = -0.3 - 0.2 * next() * (1 - Math.abs(x));
    parts.push(part(ellipse(x, y, 0.045, 0.025, next() - 0.5), [0.99, 0.92, 0.72], { shade: 0 }));
  }
  return parts;
}
