/** The named colours of the phantom world, so that a caption can say what a pixel shows. */

import type { Rgb } from "./shapes.ts";

/** Colour words and their colours. */
export const COLORS = {
  red: [0.86, 0.17, 0.16],
  orange: [0.95, 0.55, 0.13],
  yellow: [0.97, 0.82, 0.23],
  green: [0.22, 0.62, 0.32],
  blue: [0.17, 0.42, 0.82],
  purple: [0.52, 0.29, 0.7],
  pink: [0.95, 0.57, 0.71],
  brown: [0.48, 0.31, 0.19],
  white: [0.95, 0.95, 0.93],
  gray: [0.55, 0.57, 0.6],
  black: [0.13, 0.13, 0.15],
} as const satisfies Record<string, Rgb>;

/** A colour word. */
export type ColorName = keyof typeof COLORS;

/** Skin tones, light to dark. */
export const SKIN: readonly Rgb[] = [
  [0.98, 0.84, 0.73],
  [0.94, 0.76, 0.6],
  [0.87, 0.66, 0.49],
  [0.76, 0.55, 0.38],
  [0.6, 0.41, 0.28],
  [0.44, 0.29, 0.2],
];

/** Hair colours, by the word that names them. */
export const HAIR = ["black", "brown", "red", "yellow", "gray"] as const satisfies ColorName[];

/** Clothes, by the word that names them. */
export const CLOTHES = [
  "red",
  "orange",
  "yellow",
  "green",
  "blue",
  "purple",
  "pink",
  "white",
  "gray",
] as const satisfies ColorName[];

/** Signs and things, by the word that names them. */
export const PAINTS = [
  "red",
  "orange",
  "yellow",
  "green",
  "blue",
  "purple",
  "white",
  "gray",
  "black",
] as const satisfies ColorName[];
