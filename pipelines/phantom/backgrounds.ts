/** Backgrounds: plain textures, and the layouts of rooms and landscapes that make a place. */

import { Draws } from "./draws.ts";
import { type ColorName, COLORS } from "./palette.ts";
import { buildPlace, type PlaceKind, PLACES } from "./places.ts";
import { valueNoise } from "./noise.ts";
import { mix, type Rgb, textureAt } from "./shapes.ts";

/** The kinds of plain background, by the word that names them. */
export const PLAINS = ["plain", "striped", "checkered", "dotted", "cloudy"] as const;

/** A kind of plain background. */
export type PlainKind = typeof PLAINS[number];

/** What lies behind the objects of a scene. */
export interface Background {
  /** Texture or place. */
  readonly kind: PlainKind | PlaceKind;
  /** Main colour word; of a place, unused. */
  readonly color: ColorName;
  /** Seed of everything else about it. */
  readonly variation: number;
}

/**
 * Writes red, green, blue and depth of a background point into `out`.
 * x and y run over [0, 1], y down; depth runs from 0.6 (near) to 1 (far).
 */
export type BackgroundPainter = (x: number, y: number, out: Float64Array) => void;

/** Whether a background is a place, that is, a category of its own. */
export function isPlace(kind: Background["kind"]): kind is PlaceKind {
  return (PLACES as readonly string[]).includes(kind);
}

/** Makes the painter of a background. */
export function buildBackground(background: Background): BackgroundPainter {
  const draws = new Draws(background.variation);
  if (isPlace(background.kind)) return buildPlace(background.kind, draws);
  const muted = mix(COLORS[background.color], [0.8, 0.81, 0.84], 0.6);
  const dark = mix(muted, [0.12, 0.12, 0.16], 0.22 + 0.2 * draws.uniform());
  return plain(background.kind, muted, dark, draws);
}

function plain(kind: PlainKind, a: Rgb, b: Rgb, draws: Draws): BackgroundPainter {
  const angle = draws.uniform(0, Math.PI);
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  const frequency = draws.uniform(3, 7);
  const noise = valueNoise(draws);
  const texture = {
    kind: kind === "checkered" ? "checks" as const : "dots" as const,
    color: b,
    frequency,
    angle,
  };
  const amount = (x: number, y: number): number => {
    if (kind === "plain") return 0.5 + 0.6 * (cos * (x - 0.5) + sin * (y - 0.5));
    if (kind === "striped") {
      return 0.5 + 0.5 * Math.sin(2 * Math.PI * frequency * (cos * x + sin * y));
    }
    if (kind === "cloudy") {
      return 0.62 * noise(4 * x, 4 * y) + 0.38 * noise(11 * x, 11 * y + 31);
    }
    return textureAt(texture, x, y) ? 0.8 : 0.1;
  };
  return (x, y, out) => {
    const t = amount(x, y);
    for (let c = 0; c < 3; c++) out[c] = a[c] + (b[c] - a[c]) * t;
    out[3] = 0.85; // A wall that faces the camera.
  };
}

/** A random plain background's colour word. */
export const PLAIN_COLORS = [
  "red",
  "yellow",
  "green",
  "blue",
  "purple",
  "brown",
  "white",
  "gray",
] as const;
